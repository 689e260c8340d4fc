/** Interfaces between the controllers of pages and whoever shows the pages: an editor, or a browser. */
import type { CodeSince, Diff } from '../protocol/diff.ts';
import type { Checkpoint, Run } from '../protocol/domain.ts';
import type { DashboardSaid, RunPageSaid } from '../webview-ui/contract.ts';
import type { Connection } from './connection.ts';

/** A tab that shows one page. */
export interface PageHost<News> {
  post(news: News): void;
  setTitle(title: string): void;
  /** Tells the person about an error. */
  failed(error: unknown): void;
}

/** Runs of a project that are known without a question to the daemon. */
export interface KnownRuns {
  get(id: string): Run | undefined;
  all(): Iterable<Run>;
  /** Notes a run that was found elsewhere, so that actions find it. */
  know(run: Run): void;
}

/** A project, as pages about it see it. */
export interface PageProject {
  readonly root: string;
  readonly connection: Pick<Connection, 'request' | 'poll'>;
  readonly runs: KnownRuns;
  /** Opens the project at the daemon and follows it, unless somebody has. Returns its store. */
  open(): Promise<string>;
}

/** Actions of every page with runs. */
export interface FeedActions {
  /** Offers what can be done with a checkpoint that was clicked on the axis. */
  offer(run: Run, checkpoint: Checkpoint): unknown;
  /** Notes that somebody looks at runs. */
  looked(): void;
}

export interface DashboardActions extends FeedActions {
  act(action: Extract<DashboardSaid, { say: 'act' }>['action'], runs: readonly Run[]): unknown;
}

type SaidOfRun<Say extends string> = Extract<RunPageSaid, { say: Say }>;

export interface RunPageActions extends FeedActions {
  act(action: SaidOfRun<'act'>['action'], run: Run): unknown;
  actOn(action: SaidOfRun<'actOn'>['action'], run: Run, checkpoint: Checkpoint): unknown;
  openRun(id: string): unknown;
  /** Shows how a file has changed since the run. */
  openFile(run: Run, code: CodeSince, path: string): unknown;
  openAll(run: Run, code: CodeSince): unknown;
}

export interface DiffActions {
  /** Shows how a file differs between the first side and another. */
  openFile(diff: Diff, side: number, path: string): unknown;
  openAll(diff: Diff, side: number): unknown;
}
