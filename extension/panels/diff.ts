/** The diff page: asks the daemon, and passes on its answers. */
import * as v from 'valibot';
import * as vscode from 'vscode';
import { inOrderOfPlaces } from '../../protocol/curves.ts';
import type { CurveAxis, Diff } from '../../protocol/diff.ts';
import type { MetricSeries } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { diffShow, diffWeights } from '../../protocol/messages/diff.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import {
  type Curve,
  type DiffNews,
  type DiffPageSaid,
  type DiffPageState,
  diffPageSaid,
} from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { codeUri } from '../core/code-files.ts';
import { plain } from '../core/text.ts';
import { openPage, type PageHost } from './panel.ts';

const VIEW = 'trainstash.diff';
const MAX_CURVES = 24;
const BUCKETS = 1_000;

const restoredState = v.object({ root: v.string(), sides: v.array(v.string()) });

export function registerDiffPage(app: App, context: vscode.ExtensionContext): void {
  context.subscriptions.push(
    vscode.window.registerWebviewPanelSerializer(VIEW, {
      async deserializeWebviewPanel(panel, state) {
        const parsed = v.safeParse(restoredState, state);
        if (parsed.success) new DiffPage(app, context, panel, parsed.output.root, parsed.output.sides);
        else panel.dispose();
      },
    }),
  );
}

/** Opens the page. `sides`: ids of two or more runs or checkpoints. */
export function showDiff(app: App, context: vscode.ExtensionContext, root: string, sides: string[]): void {
  const panel = vscode.window.createWebviewPanel(VIEW, 'Diff', vscode.ViewColumn.Active);
  new DiffPage(app, context, panel, root, sides);
}

class DiffPage {
  readonly #app: App;
  readonly #page: PageHost;
  readonly #closed = new AbortController();
  readonly #state: DiffPageState;
  /** Logged series of each side by metric: requested once, for all axes. */
  #series: Map<string, OwnSeries[]> | null = null;
  #axis: CurveAxis = 'step';
  #asks = 0;
  #shown = false;

  constructor(app: App, context: vscode.ExtensionContext, panel: vscode.WebviewPanel, root: string, sides: string[]) {
    this.#app = app;
    this.#state = { root, sides, diff: null, problem: null, weights: [], curves: [] };
    panel.onDidDispose(() => this.#closed.abort());
    this.#page = openPage<DiffPageSaid>(context, panel, {
      script: 'diff.js',
      said: diffPageSaid,
      take: (message) => this.#take(message),
      failed: (error) => void report(app, error),
    });
    this.#ask().catch((error) => void report(app, error));
  }

  #take(message: DiffPageSaid): unknown {
    if (message.say === 'ready') {
      this.#shown = true;
      return this.#push();
    }
    if (message.say === 'axis') {
      this.#axis = message.axis;
      return this.#askDiff();
    }
    const { diff, root } = this.#state;
    const [first, other] = [diff?.sides[0], diff?.sides[message.side]];
    if (!diff || !first?.code || !other?.code) return undefined;
    const codes: [string, string] = [first.code, other.code];
    const title = `${first.label} ↔ ${other.label}`;
    const files = diff.code.files.filter(({ side }) => side === message.side);
    if (message.say === 'openAll') {
      const resources = files.map(({ path, status }) => {
        const [left, right] = urisOf(root, codes, path, status);
        return [right ?? left, left, right];
      });
      return vscode.commands.executeCommand('vscode.changes', plain(title), resources);
    }
    const file = files.find(({ path }) => path === message.path);
    if (!file) return undefined;
    const [left, right] = urisOf(root, codes, file.path, file.status);
    if (left && right)
      return vscode.commands.executeCommand('vscode.diff', left, right, plain(`${file.path} (${title})`));
    return vscode.commands.executeCommand('vscode.open', left ?? right);
  }

  async #ask(): Promise<void> {
    await this.#askDiff();
    const { diff } = this.#state;
    if (!diff) return;
    const [first, ...others] = diff.sides;
    this.#state.weights = others.map(() => ({ share: 0 }));
    this.#push();
    for (const [i, other] of others.entries()) {
      const weights =
        first!.checkpoint && other.checkpoint
          ? await this.#weights([first!.checkpoint, other.checkpoint], i)
          : { problem: 'Not every side has a checkpoint.' };
      this.#tellWeights(i, weights);
    }
  }

  async #weights(sides: [string, string], index: number): Promise<DiffPageState['weights'][number]> {
    const progress = (share: number) => this.#tellWeights(index, { share });
    try {
      const params = { root: this.#state.root, sides };
      return { diff: await this.#app.tasks.request(diffWeights, params, progress, this.#closed.signal) };
    } catch (error) {
      if (!(error instanceof TrainstashError)) throw error;
      return { problem: error.message };
    }
  }

  async #askDiff(): Promise<void> {
    const { root, sides } = this.#state;
    const ask = ++this.#asks;
    try {
      const diff = await this.#app.connection.request(diffShow, { root, sides, axis: this.#axis });
      // Another axis was chosen in the meantime.
      if (ask !== this.#asks) return;
      this.#state.diff = diff;
      this.#state.problem = null;
      this.#page.panel.title = diff.sides.map(({ label }) => plain(label)).join(' ↔ ');
      if (!this.#series) this.#push();
      this.#series ??= await this.#askSeries(diff);
      if (ask !== this.#asks) return;
      this.#state.curves = [...this.#series].map(([name, own]) => ({
        name,
        curves: own.map(({ of, series, stepsPerEpoch }) => ({ of, ...pointsOf(series, diff.axis, stepsPerEpoch) })),
      }));
    } catch (error) {
      if (!(error instanceof TrainstashError)) throw error;
      if (ask !== this.#asks) return;
      this.#state.problem = error.message;
    }
    this.#push();
  }

  async #askSeries({ metrics, sides }: Diff): Promise<Map<string, OwnSeries[]>> {
    const { root } = this.#state;
    const names = metrics.slice(0, MAX_CURVES).map(({ name }) => name);
    const all = new Map<string, OwnSeries[]>(names.map((name) => [name, []]));
    for (const [of, { run, step }] of sides.entries()) {
      const stepsPerEpoch = this.#app.model.project(root)?.runs.get(run)?.stepsPerEpoch ?? null;
      for (const name of names) {
        const params = { root, run, names: [name], toStep: step, buckets: BUCKETS };
        const { series } = await this.#app.connection.request(metricsQuery, params);
        if (series[0]) all.get(name)!.push({ of, series: series[0], stepsPerEpoch });
      }
    }
    return all;
  }

  #tellWeights(of: number, weights: DiffPageState['weights'][number]): void {
    this.#state.weights[of] = weights;
    this.#post({ type: 'weights', of, weights });
  }

  #push(): void {
    this.#post({ type: 'state', state: this.#state });
  }

  #post(news: DiffNews): void {
    if (this.#shown && !this.#closed.signal.aborted) this.#page.post(news);
  }
}

interface OwnSeries {
  of: number;
  series: MetricSeries;
  stepsPerEpoch: number | null;
}

function pointsOf(series: MetricSeries, axis: CurveAxis, stepsPerEpoch: number | null): Omit<Curve, 'of'> {
  const xs =
    axis === 'time'
      ? series.times
      : axis === 'epoch' && stepsPerEpoch
        ? series.steps.map((step) => step / stepsPerEpoch)
        : series.steps;
  const { places, values } = inOrderOfPlaces(xs, series.values.map(fromWireNumber));
  return { xs: Float64Array.from(places), ys: Float64Array.from(values) };
}

/** Returns the file's URIs on both sides; undefined: that side does not have the file. */
function urisOf(
  root: string,
  [before, after]: [string, string],
  path: string,
  status: 'added' | 'removed' | 'changed',
): [vscode.Uri | undefined, vscode.Uri | undefined] {
  return [
    status === 'added' ? undefined : codeUri(root, before, path),
    status === 'removed' ? undefined : codeUri(root, after, path),
  ];
}
