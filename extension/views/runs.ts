/** Tree of runs: (project →) branch → run → checkpoint. It draws the model, and loads what is expanded. */
import { basename } from 'node:path';
import * as vscode from 'vscode';
import { bestOf } from '../../pages/run-facts.ts';
import { rowOf } from '../../pages/run-row.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { counted, integer } from '../../protocol/words.ts';
import { filterOf } from '../../webview-ui/columns.ts';
import type { BranchView, Model } from '../core/model.ts';
import type { Remembered } from '../core/remembered.ts';
import { inSweep, lookOfSweep, nameOfSweep } from '../core/sweep-row.ts';
import { type Look, lookOfCheckpoint, lookOfRun, oneLine } from '../core/text.ts';
import { Throttle } from '../core/throttle.ts';
import { tooltipOfCheckpoint, tooltipOfRun, tooltipOfSweep } from './tooltips.ts';

/** Shortest interval between redraws of a live run's row. */
const REDRAW_MS = 500;
/** Runs of a branch that are shown at first: more than fit into a window, and few enough to be drawn at once. */
const FIRST_ROWS = 60;
const MORE_ROWS = 200;
/** Scheme of the addresses of rows, which are no files. */
export const CHECKPOINT_SCHEME = 'trainstash-checkpoint';

export type Node =
  | { kind: 'project'; root: string }
  | { kind: 'branch'; root: string; branch: string | null }
  | { kind: 'drafts'; root: string; branch: string | null }
  | { kind: 'more'; root: string; branch: string | null }
  | { kind: 'sweep'; root: string; id: string; branch: string | null }
  | { kind: 'run'; root: string; id: string }
  | { kind: 'checkpoint'; root: string; run: string; checkpoint: Checkpoint };

export class RunsTree implements vscode.TreeDataProvider<Node> {
  readonly #model: Model;
  readonly #changed = new vscode.EventEmitter<Node | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  /** One object per row: VS Code identifies changed rows by identity. */
  readonly #nodes = new Map<string, Node>();
  readonly #due = new Set<Node>();
  /** Number of runs that each branch shows at most. */
  readonly #shown = new Map<string, number>();
  /** Words and comparisons as in the dashboard; empty: all runs. */
  #filter = '';
  #allDue = false;
  readonly #throttle = new Throttle(REDRAW_MS, () => this.#draw());

  /** Folder of the example, whose row can be closed. */
  readonly #example: string;

  /** Resolves once it is known what there is to show. Until then the view is busy, and nothing is redrawn. */
  readonly #loaded: Promise<void>;
  #isLoaded = false;
  readonly #remembered: Remembered;

  constructor(model: Model, example: string, remembered: Remembered, loaded: Promise<void>) {
    this.#model = model;
    this.#example = example;
    this.#remembered = remembered;
    const wasDrawn = remembered.root !== null;
    this.#loaded = loaded.then(() => {
      this.#isLoaded = true;
      if (remembered.keep(model.projects) && wasDrawn) this.redraw();
    });
  }

  redraw(): void {
    if (!this.#isLoaded) return;
    this.#remembered.keep(this.#model.projects);
    this.#allDue = true;
    this.#throttle.request();
  }

  redrawRun(id: string): void {
    const node = this.#nodes.get(`run ${id}`);
    if (!node) return;
    this.#due.add(node);
    this.#throttle.request();
  }

  dispose(): void {
    this.#throttle.dispose();
    this.#changed.dispose();
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const item = this.#item(node);
    item.id = idOf(node);
    return item;
  }

  async getChildren(node?: Node): Promise<Node[]> {
    if (!node) {
      const { root } = this.#remembered;
      // Rows known from last time cost no wait, so VS Code asks for their runs while the daemon is being reached.
      if (!this.#isLoaded && root !== null && root !== this.#example) return this.#branches(root);
      // An answer that waits costs one round trip less than an empty one that is replaced.
      await this.#loaded;
      return this.#roots();
    }
    await this.#loaded;
    if (node.kind === 'project') return this.#branches(node.root);
    if (node.kind === 'branch') return this.#runs(node.root, node.branch);
    if (node.kind === 'drafts') return this.#runNodes(node.root, node.branch).filter((child) => this.#isFolded(child));
    if (node.kind === 'sweep') return this.#trials(node);
    if (node.kind !== 'run') return [];
    const checkpoints = await this.#model.loadCheckpoints(node.root, node.id).catch(noneWithoutDaemon);
    return checkpoints.map((checkpoint) => ({ kind: 'checkpoint', root: node.root, run: node.id, checkpoint }));
  }

  getParent(node: Node): Node | undefined {
    const several = this.#namesProjects();
    if (node.kind === 'project') return undefined;
    if (node.kind === 'branch') return several ? this.#node({ kind: 'project', root: node.root }) : undefined;
    if (node.kind === 'checkpoint') return this.#node({ kind: 'run', root: node.root, id: node.run });
    if (node.kind !== 'run') return this.#node({ kind: 'branch', root: node.root, branch: node.branch });
    const run = this.#run(node);
    if (run?.sweep && this.#model.project(node.root)?.sweeps.has(run.sweep.id))
      return this.#node({ kind: 'sweep', root: node.root, id: run.sweep.id, branch: run.branch });
    return run && this.#node({ kind: this.#isFolded(node) ? 'drafts' : 'branch', root: node.root, branch: run.branch });
  }

  get filter(): string {
    return this.#filter;
  }

  set filter(text: string) {
    this.#filter = text.trim();
    this.redraw();
  }

  nodeOfRun(root: string, id: string): Node {
    return this.#node({ kind: 'run', root, id });
  }

  resolveTreeItem(item: vscode.TreeItem, node: Node): vscode.TreeItem {
    if (node.kind === 'run') item.tooltip = tooltipOfRun(this.#run(node));
    if (node.kind === 'sweep') item.tooltip = tooltipOfSweep(this.#model.project(node.root)?.sweeps.get(node.id));
    if (node.kind === 'checkpoint') item.tooltip = tooltipOfCheckpoint(node.checkpoint);
    return item;
  }

  #roots(): Node[] {
    const { projects } = this.#model;
    if (this.#namesProjects())
      return projects.map(({ project }) => this.#node({ kind: 'project', root: project.root }));
    const only = projects[0];
    // With no rows the view shows its welcome text.
    return only?.branchViews().some(({ runs }) => runs > 0) ? this.#branches(only.project.root) : [];
  }

  /** Tells whether projects are rows: several are, and the example is, since it is no folder of the window. */
  #namesProjects(): boolean {
    const { projects } = this.#model;
    return projects.length > 1 || projects[0]?.project.root === this.#example;
  }

  #branches(root: string): Node[] {
    return this.#branchViews(root).map(({ name }) => this.#node({ kind: 'branch', root, branch: name }));
  }

  #branchViews(root: string): readonly BranchView[] {
    return this.#model.project(root)?.branchViews() ?? this.#remembered.branchesOf(root);
  }

  async #runs(root: string, branch: string | null): Promise<Node[]> {
    const mirror = this.#model.project(root);
    if (!mirror) return [];
    // A filter looks at all runs, not only at those that were loaded.
    if (this.#filter !== '') await this.#model.loadAll(root, branch).catch(noneWithoutDaemon);
    else if (!mirror.loaded.has(branch)) await this.#model.loadMore(root, branch).catch(noneWithoutDaemon);
    const nodes = this.#runNodes(root, branch);
    const kept = nodes.filter((node) => !this.#isFolded(node));
    const hasDrafts = kept.length < nodes.length;
    const most = this.#shown.get(keyOf(root, branch)) ?? FIRST_ROWS;
    const rows = this.#filter === '' ? this.#withSweeps(root, kept) : kept;
    const shown = rows.slice(0, most);
    if (hasDrafts) shown.push(this.#node({ kind: 'drafts', root, branch }));
    if (mirror.hasMore(branch) || rows.length > most) shown.push(this.#node({ kind: 'more', root, branch }));
    return shown;
  }

  /** Puts one row in the place of the newest run of each sweep, and leaves the others to it. */
  #withSweeps(root: string, nodes: readonly Node[]): Node[] {
    const sweeps = this.#model.project(root)?.sweeps;
    const seen = new Set<Node>();
    for (const node of nodes) {
      const run = this.#run(node);
      const isTrial = run?.sweep && sweeps?.has(run.sweep.id);
      seen.add(isTrial ? this.#node({ kind: 'sweep', root, id: run.sweep!.id, branch: run.branch }) : node);
    }
    return [...seen];
  }

  /** Lists the runs of a sweep, the newest first. */
  async #trials({ root, id, branch }: Extract<Node, { kind: 'sweep' }>): Promise<Node[]> {
    await this.#model.loadSweep(root, id).catch(noneWithoutDaemon);
    const runs = [...(this.#model.project(root)?.runs.values() ?? [])];
    return runs
      .filter((run) => run.sweep?.id === id && run.branch === branch)
      .sort((a, b) => b.number - a.number)
      .map((run) => this.#node({ kind: 'run', root, id: run.id }));
  }

  /** Shows more runs of a branch, and loads them if they are not. */
  async showMore(root: string, branch: string | null): Promise<void> {
    const key = keyOf(root, branch);
    const most = (this.#shown.get(key) ?? FIRST_ROWS) + MORE_ROWS;
    this.#shown.set(key, most);
    const mirror = this.#model.project(root);
    if (mirror && mirror.runsOf(branch).length < most && mirror.hasMore(branch))
      await this.#model.loadMore(root, branch);
    this.redraw();
  }

  #runNodes(root: string, branch: string | null): Node[] {
    const passes = filterOf(this.#filter);
    const runs = (this.#model.project(root)?.runsOf(branch) ?? []).filter(
      (run) => this.#filter === '' || passes(rowOf(run)),
    );
    return runs.map(({ id }) => this.#node({ kind: 'run', root, id }));
  }

  /**
   * Tells whether a run is in the drafts: only failed attempts that a later run made up for. Until there is one, a user looks for
   * what went wrong.
   */
  #isFolded(node: Node): boolean {
    const run = this.#run(node);
    // A sweep lists all of its runs.
    if (!run?.draft || run.sweep) return false;
    const newestKept = this.#model
      .project(node.root)
      ?.runsOf(run.branch)
      .find(({ draft }) => !draft);
    return newestKept !== undefined && newestKept.number > run.number;
  }

  #run(node: Node): Run | undefined {
    return node.kind === 'run' ? this.#model.project(node.root)?.runs.get(node.id) : undefined;
  }

  #branch(root: string, branch: string | null): BranchView | undefined {
    return this.#branchViews(root).find(({ name }) => name === branch);
  }

  #node(node: Node): Node {
    const key = node.kind === 'run' ? `run ${node.id}` : idOf(node);
    const known = this.#nodes.get(key);
    if (known) return known;
    this.#nodes.set(key, node);
    return node;
  }

  #draw(): void {
    const nodes = this.#allDue ? [undefined] : [...this.#due];
    this.#allDue = false;
    this.#due.clear();
    for (const node of nodes) this.#changed.fire(node);
  }

  #item(node: Node): vscode.TreeItem {
    const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
    switch (node.kind) {
      case 'project': {
        const item = new vscode.TreeItem(vscode.Uri.file(node.root), Expanded);
        item.contextValue = node.root === this.#example ? 'example' : 'project';
        item.accessibilityInformation = { label: `project ${basename(node.root)}` };
        return item;
      }
      case 'branch': {
        const branch = this.#branch(node.root, node.branch);
        const item = new vscode.TreeItem(this.#branchName(node), branch?.current ? Expanded : Collapsed);
        // Drafts count where there is nothing else, since they are listed then.
        const runs = (branch?.runs ?? 0) - (branch?.drafts ?? 0) || (branch?.runs ?? 0);
        item.description = [
          branch?.current ? 'current' : '',
          counted(runs, 'run'),
          branch?.live ? `${branch.live} live` : '',
        ]
          .filter(Boolean)
          .join(' · ');
        item.iconPath = new vscode.ThemeIcon('git-branch');
        item.accessibilityInformation = { label: `branch ${item.label}, ${item.description}` };
        item.contextValue = 'branch';
        return item;
      }
      case 'drafts': {
        const item = new vscode.TreeItem('Drafts', Collapsed);
        item.description = 'ended within a minute, without a checkpoint';
        item.iconPath = new vscode.ThemeIcon('ellipsis');
        item.contextValue = 'drafts';
        return item;
      }
      case 'more': {
        const item = new vscode.TreeItem('Show More', None);
        item.command = { command: 'trainstash.more', title: 'Show more', arguments: [node] };
        return item;
      }
      case 'sweep': {
        const sweep = this.#model.project(node.root)?.sweeps.get(node.id);
        if (!sweep) return new vscode.TreeItem('(gone)', None);
        return decorated(new vscode.TreeItem(oneLine(nameOfSweep(sweep)), Collapsed), lookOfSweep(sweep));
      }
      case 'run': {
        const run = this.#run(node);
        if (!run) return new vscode.TreeItem('(gone)', None);
        const item = new vscode.TreeItem(oneLine(run.name), run.checkpoints > 0 ? Collapsed : None);
        item.command = { command: 'trainstash.openRun', title: 'Open', arguments: [node, true] };
        const sweep = run.sweep && this.#model.project(node.root)?.sweeps.get(run.sweep.id);
        const look = lookOfRun(run, Date.now());
        return decorated(item, sweep ? inSweep(look, run.id, sweep) : look);
      }
      case 'checkpoint': {
        const { checkpoint } = node;
        const mirror = this.#model.project(node.root);
        const run = mirror?.runs.get(node.run);
        const isBest = bestOf(mirror?.checkpoints.get(node.run) ?? [], run?.monitor)?.id === checkpoint.id;
        const item = new vscode.TreeItem(`step ${integer(checkpoint.step)}`, None);
        // Where else it is, is a mark of its own, which comes later.
        item.resourceUri = checkpointUri(node.root, node.run, checkpoint.id);
        return decorated(item, lookOfCheckpoint(checkpoint, run, Date.now(), isBest));
      }
    }
  }

  #branchName({ root, branch }: { root: string; branch: string | null }): string {
    if (branch !== null) return oneLine(branch);
    return this.#model.project(root)?.project.git ? '(no branch)' : '(no git)';
  }
}

/** Address of a checkpoint's row, by which its mark is found. */
export function checkpointUri(root: string, run: string, checkpoint: string): vscode.Uri {
  return vscode.Uri.from({ scheme: CHECKPOINT_SCHEME, path: `/${run}/${checkpoint}`, query: root });
}

function keyOf(root: string, branch: string | null): string {
  return `${root}\0${branch ?? ''}`;
}

function decorated(item: vscode.TreeItem, look: Look): vscode.TreeItem {
  item.description = oneLine(look.description);
  item.iconPath = new vscode.ThemeIcon(look.icon, look.color ? new vscode.ThemeColor(look.color) : undefined);
  item.contextValue = look.context;
  item.accessibilityInformation = { label: oneLine(look.spoken) };
  return item;
}

function idOf(node: Node): string {
  const { kind, root } = node;
  if (node.kind === 'project') return `${kind} ${root}`;
  if (node.kind === 'run') return `${kind} ${root} ${node.id}`;
  if (node.kind === 'sweep') return `${kind} ${root} ${node.id} ${node.branch ?? ''}`;
  if (node.kind === 'checkpoint') return `${kind} ${root} ${node.checkpoint.id}`;
  return `${kind} ${root} ${node.branch === null ? '' : `:${node.branch}`}`;
}

/** Returns no rows while the daemon is away, which the view's message says. */
function noneWithoutDaemon(error: unknown): [] {
  if (isError(error, 'daemonUnavailable')) return [];
  throw error;
}
