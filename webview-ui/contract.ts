/** Messages between pages and the extension. Messages from a page are validated: it is the less trusted side. */
import * as v from 'valibot';
import type { CodeSince, Diff, WeightsDiff } from '../protocol/diff.ts';
import type { Checkpoint, FileInspection, Run, Session } from '../protocol/domain.ts';
import { MEDIA_KINDS, type MediaContent, type MediaKind, type MediaSeries } from '../protocol/media.ts';
import type { WireNumber } from '../protocol/numbers.ts';
import type { UsageSeries } from '../protocol/usage.ts';

/** A curve. Messages to pages are JSON; only typed arrays carry NaN and infinities. */
export interface Curve {
  /** Index of the run in the page's list of sides or runs. */
  of: number;
  xs: Float64Array;
  ys: Float64Array;
}

// ---- media, on the pages of a run and of a comparison ----

export type MediaNews =
  | { type: 'media'; run: string; series: MediaSeries[] }
  | { type: 'mediaContent'; sum: string; kind: MediaKind; content: MediaContent | null; bytes: Uint8Array | null };

const id = v.pipe(v.string(), v.maxLength(100));
const mediaSaid = [
  v.object({ say: v.literal('media'), run: id }),
  v.object({ say: v.literal('mediaRead'), session: id, sum: id, kind: v.picklist(MEDIA_KINDS) }),
] as const;
export type MediaSaid = v.InferOutput<(typeof mediaSaid)[number]>;

// ---- the diff page ----

export interface DiffPageState {
  root: string;
  sides: string[];
  /** Null: still loading, or it failed. */
  diff: Diff | null;
  problem: string | null;
  /** Comparisons of weights, one for each side but the first. */
  weights: ({ diff: WeightsDiff } | { problem: string } | { share: number })[];
  curves: { name: string; curves: Curve[] }[];
}

/** Messages to the diff page: the whole state, or one comparison of weights. `of` counts from the second side. */
export type DiffNews =
  | { type: 'state'; state: DiffPageState }
  | { type: 'weights'; of: number; weights: DiffPageState['weights'][number] }
  | MediaNews;

export const diffPageSaid = v.variant('say', [
  v.object({ say: v.literal('ready') }),
  v.object({ say: v.literal('axis'), axis: v.picklist(['step', 'epoch', 'time']) }),
  v.object({ say: v.literal('openFile'), side: v.number(), path: v.string() }),
  v.object({ say: v.literal('openAll'), side: v.number() }),
  ...mediaSaid,
]);
export type DiffPageSaid = v.InferOutput<typeof diffPageSaid>;

// ---- the page of a checkpoint file ----

export interface FilePageState {
  name: string;
  /** Pages loaded so far, joined; `next` tells whether there are more. */
  inspection: FileInspection | null;
  problem: string | null;
  /** Filter on the names of its tensors. */
  filter: string;
  /** True if statistics were requested. */
  statistics: boolean;
  /** True while another page is loading. */
  reading: boolean;
}

export const filePageSaid = v.variant('say', [
  v.object({ say: v.literal('ready') }),
  v.object({ say: v.literal('statistics') }),
  v.object({ say: v.literal('more') }),
  v.object({ say: v.literal('filter'), text: v.pipe(v.string(), v.maxLength(200)) }),
]);
export type FilePageSaid = v.InferOutput<typeof filePageSaid>;

// ---- the dashboard ----

export interface BestValue {
  value: number;
  step: number;
  word: 'best' | 'lowest' | 'highest';
}

/** Row of the run table. */
export interface RunRow {
  id: string;
  number: number;
  name: string;
  label: string;
  branch: string | null;
  status: string;
  live: boolean;
  /** True if it ended early and has a checkpoint to resume from. */
  resumable: boolean;
  draft: boolean;
  createdAt: number;
  step: number;
  share: number | null;
  stepsPerEpoch: number | null;
  /** Params; nested names have dots. */
  params: Record<string, string | number | boolean | null>;
  /**
   * Metrics; `best` only where it is known whether smaller or larger is better. Only the metric that a run is judged by has a
   * *best* value; of others it is the *lowest* or *highest*.
   */
  metrics: Record<string, { last: WireNumber; best: BestValue | null }>;
  /** `loss is NaN`; empty: the loss and the monitor are finite. */
  alarm: string;
  /** Outcome of the newest rehearsal: `rehearsed: 20 steps from step 400, equal`; empty: there was none. */
  rehearsal: string;
  /** Steps at which the run was rolled back, and those that it went back to. */
  rollbacks: { step: number; toStep: number }[];
  parent: string | null;
  job: string;
  /** Sweep that made the run: `sweep 2 of train`; null: none did. */
  sweep: string | null;
  /** Words of its note that begin with `#`, in lower case and sorted. */
  tags: string[];
}

export interface CheckpointMark {
  id: string;
  run: string;
  step: number;
  tags: string[];
}

export interface DashboardState {
  root: string;
  project: string;
  rows: RunRow[];
  /** True if more runs are still loading. */
  loading: boolean;
  problem: string | null;
}

/** Messages to the dashboard. `state` follows `ready`; the others change parts of it. */
export type DashboardNews =
  | { type: 'state'; state: DashboardState }
  | { type: 'rows'; rows: RunRow[]; loading: boolean }
  | { type: 'gone'; ids: string[] }
  | {
      type: 'curve';
      run: string;
      name: string;
      from: number | null;
      to: number | null;
      xs: Float64Array;
      ys: Float64Array;
      times: Float64Array;
    }
  | { type: 'points'; run: string; name: string; xs: Float64Array; ys: Float64Array; times: Float64Array }
  | { type: 'checkpoints'; run: string; marks: CheckpointMark[] }
  | { type: 'log'; run: string; text: string; first: boolean }
  | { type: 'device'; text: string }
  | { type: 'views'; views: SavedView[] };

/** Settings of the dashboard under a name. */
export const savedViews = v.pipe(
  v.array(
    v.object({
      name: v.pipe(v.string(), v.minLength(1), v.maxLength(60)),
      settings: v.pipe(
        v.record(v.string(), v.unknown()),
        v.check((settings) => JSON.stringify(settings).length <= 20_000),
      ),
    }),
  ),
  v.maxLength(50),
);
export type SavedView = v.InferOutput<typeof savedViews>[number];

/** Requests that each page with runs makes: curves, checkpoints and a log. */
const feedSaid = [
  v.object({ say: v.literal('ready') }),
  /** Requests the curves of runs and metrics; again for a range of steps after zooming in. */
  v.object({
    say: v.literal('curves'),
    runs: v.pipe(v.array(id), v.maxLength(50)),
    names: v.pipe(v.array(v.string()), v.maxLength(50)),
    from: v.nullable(v.number()),
    to: v.nullable(v.number()),
    buckets: v.pipe(v.number(), v.minValue(10), v.maxValue(4_000)),
  }),
  v.object({ say: v.literal('checkpoints'), run: id }),
  v.object({ say: v.literal('log'), run: v.nullable(id) }),
  /** Asks what is to be done with a checkpoint. */
  v.object({ say: v.literal('checkpoint'), run: id, checkpoint: id }),
] as const;
export type FeedSaid = v.InferOutput<(typeof feedSaid)[number]>;

export const dashboardSaid = v.variant('say', [
  ...feedSaid,
  v.object({
    say: v.literal('act'),
    action: v.picklist(['resume', 'pause', 'stop', 'diff', 'export', 'openRun']),
    runs: v.pipe(v.array(id), v.maxLength(8)),
  }),
  /** Keeps these views, and no others. */
  v.object({ say: v.literal('views'), views: savedViews }),
]);
export type DashboardSaid = v.InferOutput<typeof dashboardSaid>;

// ---- the page of a run ----

export interface RunPageState {
  root: string;
  run: Run;
  sessions: Session[];
  /** Newest first. */
  checkpoints: Checkpoint[];
  /** Id of the best checkpoint, if the run is judged by a metric. */
  best: string | null;
  /** Name of the run that this one was forked from; null: it was deleted, or there is none. */
  parent: string | null;
  /** Runs that were forked from this one. */
  forks: { id: string; name: string; step: number }[];
}

/** Messages to the page of a run, beside those that the dashboard gets about its one row. */
export type RunPageNews =
  | DashboardNews
  | { type: 'run'; state: RunPageState }
  | { type: 'code'; code: CodeSince | { problem: string } }
  | { type: 'usage'; series: UsageSeries[] }
  | MediaNews
  | { type: 'problem'; text: string };

export const RUN_ACTIONS = [
  'resume',
  'pause',
  'stop',
  'kill',
  'checkpoint',
  'export',
  'report',
  'compare',
  'compareBest',
  'rename',
  'note',
  'log',
  'restoreCode',
  'delete',
] as const;
export const CHECKPOINT_ACTIONS = ['resumeFrom', 'fork', 'export', 'compare', 'verify', 'tag', 'restoreFiles'] as const;

export const runPageSaid = v.variant('say', [
  ...feedSaid,
  ...mediaSaid,
  v.object({ say: v.literal('act'), action: v.picklist(RUN_ACTIONS) }),
  v.object({ say: v.literal('actOn'), action: v.picklist(CHECKPOINT_ACTIONS), checkpoint: id }),
  v.object({ say: v.literal('code') }),
  v.object({ say: v.literal('openFile'), path: v.string() }),
  v.object({ say: v.literal('openAll') }),
  v.object({ say: v.literal('openRun'), run: id }),
]);
export type RunPageSaid = v.InferOutput<typeof runPageSaid>;
