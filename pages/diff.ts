/** The comparison of runs or checkpoints: asks the daemon, and passes on its answers. */
import { inOrderOfPlaces } from '../protocol/curves.ts';
import type { CurveAxis, Diff } from '../protocol/diff.ts';
import type { MetricSeries } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { diffShow, diffWeights } from '../protocol/messages/diff.ts';
import { metricsQuery } from '../protocol/messages/metrics.ts';
import { fromWireNumber } from '../protocol/numbers.ts';
import type { Curve, DiffNews, DiffPageSaid, DiffPageState } from '../webview-ui/contract.ts';
import type { DiffActions, PageHost, PageProject } from './host.ts';
import { ignoreUnavailable, MediaFeed } from './media-feed.ts';

const MAX_CURVES = 24;
const BUCKETS = 1_000;

export class DiffPage {
  readonly #project: PageProject;
  readonly #host: PageHost<DiffNews>;
  readonly #actions: DiffActions;
  readonly #media: MediaFeed;
  readonly #closed = new AbortController();
  readonly #state: DiffPageState;
  /** Logged series of each side by metric: requested once, for all axes. */
  #series: Map<string, OwnSeries[]> | null = null;
  #axis: CurveAxis = 'step';
  #asks = 0;
  #shown = false;

  /** Creates the page. `sides`: ids of two or more runs or checkpoints. */
  constructor(project: PageProject, sides: string[], host: PageHost<DiffNews>, actions: DiffActions) {
    this.#project = project;
    this.#host = host;
    this.#actions = actions;
    this.#state = { root: project.root, sides, diff: null, problem: null, weights: [], curves: [] };
    this.#media = new MediaFeed(project.connection, project.root, (news) => this.#post(news));
    this.#ask().catch((error) => host.failed(error));
  }

  dispose(): void {
    this.#closed.abort();
  }

  take(message: DiffPageSaid): unknown {
    if (message.say === 'media' || message.say === 'mediaRead')
      return this.#media.take(message).catch(ignoreUnavailable);
    if (message.say === 'ready') {
      this.#shown = true;
      return this.#push();
    }
    if (message.say === 'axis') {
      this.#axis = message.axis;
      return this.#askDiff();
    }
    const { diff } = this.#state;
    if (!diff) return undefined;
    return message.say === 'openAll'
      ? this.#actions.openAll(diff, message.side)
      : this.#actions.openFile(diff, message.side, message.path);
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
    const progress = (done: number, total: number) => {
      if (total > 0) this.#tellWeights(index, { share: done / total });
    };
    try {
      const params = { root: this.#state.root, sides };
      return { diff: await this.#project.connection.request(diffWeights, params, this.#closed.signal, progress) };
    } catch (error) {
      if (!(error instanceof TrainstashError)) throw error;
      return { problem: error.message };
    }
  }

  async #askDiff(): Promise<void> {
    const { root, sides } = this.#state;
    const ask = ++this.#asks;
    try {
      const diff = await this.#project.connection.request(diffShow, { root, sides, axis: this.#axis });
      // Another axis was chosen in the meantime.
      if (ask !== this.#asks) return;
      this.#state.diff = diff;
      this.#state.problem = null;
      this.#host.setTitle(diff.sides.map(({ label }) => label).join(' ↔ '));
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
      const stepsPerEpoch = this.#project.runs.get(run)?.stepsPerEpoch ?? null;
      for (const name of names) {
        const params = { root, run, names: [name], toStep: step, buckets: BUCKETS };
        const { series } = await this.#project.connection.request(metricsQuery, params);
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
    if (this.#shown && !this.#closed.signal.aborted) this.#host.post(news);
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
