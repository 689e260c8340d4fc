/** What the extension has told the dashboard, and what the editor keeps of its settings. */
import { useState } from 'preact/hooks';
import type { CheckpointMark, DashboardNews, DashboardSaid, RunRow } from './messages.ts';
import { remember, remembered, say } from './page.ts';

export interface CurveData {
  xs: Float64Array;
  ys: Float64Array;
  times: Float64Array;
}

/** Everything that the extension has told. */
export const known = {
  rows: new Map<string, RunRow>(),
  /** Another number when a row is another one: what is reckoned from all rows is kept until then. */
  rowsVersion: 0,
  /** How often everything was told from the start: what was missed meanwhile is asked for again. */
  loads: 0,
  project: '',
  problem: null as string | null,
  loading: true,
  device: '',
  /** Of runs and metrics whose curves are on their way or here: they are asked for once a load. */
  asked: new Set<string>(),
  /** By run and metric; `zoomed` is of a part of the steps. */
  curves: new Map<string, CurveData>(),
  zoomed: new Map<string, CurveData>(),
  marks: new Map<string, CheckpointMark[]>(),
  log: { run: '', text: '' },
};
export const tell = (message: DashboardSaid) => say(message);
export const curveKey = (run: string, name: string) => `${run} ${name}`;

export function take(news: DashboardNews): void {
  switch (news.type) {
    case 'state':
      known.rows = new Map(news.state.rows.map((row) => [row.id, row]));
      known.project = news.state.project;
      known.loading = news.state.loading;
      known.problem = news.state.problem;
      known.rowsVersion++;
      // After a lost connection: what was on its way is not any more, and what is here may lack its end.
      known.loads++;
      known.asked.clear();
      remember({ root: news.state.root });
      break;
    case 'rows':
      for (const row of news.rows) known.rows.set(row.id, row);
      known.rowsVersion++;
      known.loading = news.loading;
      break;
    case 'gone':
      for (const id of news.ids) known.rows.delete(id);
      known.rowsVersion++;
      break;
    case 'curve': {
      const target = news.from === null && news.to === null ? known.curves : known.zoomed;
      target.set(curveKey(news.run, news.name), news);
      break;
    }
    case 'points': {
      const key = curveKey(news.run, news.name);
      const curve = known.curves.get(key);
      // Of a run that nobody looks at nothing is kept.
      if (curve && (curve.xs.at(-1) ?? -1) < news.xs[0]!) known.curves.set(key, joined(curve, news));
      break;
    }
    case 'checkpoints':
      known.marks.set(news.run, news.marks);
      break;
    case 'log':
      known.log = { run: news.run, text: news.first ? news.text : (known.log.text + news.text).slice(-(2 << 20)) };
      break;
    case 'device':
      known.device = news.text;
      break;
  }
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

/** A setting that the editor keeps over reloads. */
export function useKept<T>(name: string, initial: T): [T, (next: T) => void] {
  const [state, setState] = useState<T>((remembered()[name] as T | undefined) ?? initial);
  return [
    state,
    (next) => {
      setState(next);
      remember({ [name]: next });
    },
  ];
}
