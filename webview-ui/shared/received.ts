/** Data of a page with runs: received from the extension, and settings that the editor keeps. */
import { useState } from 'preact/hooks';
import type { CheckpointMark, DashboardNews, DashboardSaid, RunRow } from '../contract.ts';
import { post, savedState, saveState } from './page.ts';

export interface CurveData {
  xs: Float64Array;
  ys: Float64Array;
  times: Float64Array;
}

/** Number of the newest points that are kept of each curve. A live run logs fewer before an answer arrives. */
const NEWEST = 1_000;

/** All data received from the extension. */
export const received = {
  rows: new Map<string, RunRow>(),
  /** Changes whenever a row changes; memoised aggregates are keyed by it. */
  rowsVersion: 0,
  /** Number of complete loads: after each, what was missed is requested again. */
  loads: 0,
  project: '',
  problem: null as string | null,
  loading: true,
  device: '',
  /** Keys of the curves that are loaded or on their way; each is requested once per load. */
  asked: new Set<string>(),
  /** Curves by run and metric; `zoomed` has those of a part of the steps. */
  curves: new Map<string, CurveData>(),
  zoomed: new Map<string, CurveData>(),
  /** Newest points of the curves that were requested: an answer lacks those that came while it was on its way. */
  newest: new Map<string, CurveData>(),
  marks: new Map<string, CheckpointMark[]>(),
  log: { run: '', text: '' },
};
export const send = (message: DashboardSaid) => post(message);
export const curveKey = (run: string, name: string) => `${run} ${name}`;

export function receive(news: DashboardNews): void {
  switch (news.type) {
    case 'state':
      received.rows = new Map(news.state.rows.map((row) => [row.id, row]));
      received.project = news.state.project;
      received.loading = news.state.loading;
      received.problem = news.state.problem;
      received.rowsVersion++;
      // After a lost connection, pending answers will not come, and loaded curves may lack their end.
      received.loads++;
      received.asked.clear();
      received.newest.clear();
      saveState({ root: news.state.root });
      break;
    case 'rows':
      for (const row of news.rows) received.rows.set(row.id, row);
      received.rowsVersion++;
      received.loading = news.loading;
      break;
    case 'gone':
      for (const id of news.ids) received.rows.delete(id);
      received.rowsVersion++;
      break;
    case 'curve': {
      const key = curveKey(news.run, news.name);
      if (news.from === null && news.to === null) received.curves.set(key, extended(news, received.newest.get(key)));
      else received.zoomed.set(key, news);
      break;
    }
    case 'points': {
      const key = curveKey(news.run, news.name);
      // Points of a run that is not shown are dropped.
      if (!received.asked.has(key)) break;
      received.newest.set(key, newestOf(received.newest.get(key), news));
      const curve = received.curves.get(key);
      if (curve) received.curves.set(key, extended(curve, news));
      break;
    }
    case 'checkpoints':
      received.marks.set(news.run, news.marks);
      break;
    case 'log':
      received.log = {
        run: news.run,
        text: news.first ? news.text : (received.log.text + news.text).slice(-(2 << 20)),
      };
      break;
    case 'device':
      received.device = news.text;
      break;
  }
}

/** Adds the points that are beyond the end of a curve. */
function extended(curve: CurveData, points: CurveData | undefined): CurveData {
  const end = curve.xs.at(-1) ?? Number.NEGATIVE_INFINITY;
  const from = points?.xs.findIndex((x) => x > end) ?? -1;
  return points && from >= 0 ? joined(curve, part(points, from)) : curve;
}

/** Adds points to the newest ones. A run that goes on from an earlier step begins them anew. */
function newestOf(kept: CurveData | undefined, points: CurveData): CurveData {
  if (!kept || points.xs[0]! <= kept.xs.at(-1)!) return part(points, -NEWEST);
  return part(joined(kept, points), -NEWEST);
}

function part({ xs, ys, times }: CurveData, from: number): CurveData {
  return { xs: xs.slice(from), ys: ys.slice(from), times: times.slice(from) };
}

function joined(a: CurveData, b: CurveData): CurveData {
  const both = (x: Float64Array, y: Float64Array) => {
    const out = new Float64Array(x.length + y.length);
    out.set(x);
    out.set(y, x.length);
    return out;
  };
  return { xs: both(a.xs, b.xs), ys: both(a.ys, b.ys), times: both(a.times, b.times) };
}

/** Returns a setting that the editor keeps across reloads. */
export function useKept<T>(name: string, initial: T): [T, (next: T) => void] {
  const [state, setState] = useState<T>((savedState()[name] as T | undefined) ?? initial);
  return [
    state,
    (next) => {
      setState(next);
      saveState({ [name]: next });
    },
  ];
}
