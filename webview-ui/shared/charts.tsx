/** Shows the chosen runs in one chart per metric. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { inOrderOfPlaces } from '../../protocol/curves.ts';
import { integer, metric } from '../../protocol/words.ts';
import type { RunRow } from '../contract.ts';
import { type Axis, AxisChoice } from './axis.tsx';
import { Chart, type ChartLine, type ChartMark, colorOf } from './chart.tsx';
import { useGrouping } from './grouping.tsx';
import { bandOf, type Group, labelOf } from './groups.ts';
import { type CurveData, curveKey, received, send, useKept } from './received.ts';

/** Number of buckets of two points each: as many points as a wide chart has pixels. Zooming in loads more. */
const BUCKETS = 500;
/** Interval at which points of live runs are requested again, since notifications are lossy. */
const REFRESH_MS = 5_000;
const NOTHING = new Float64Array(0);
/** Delay during a drag: only the last range is requested. */
const ZOOM_MS = 200;

export function Charts({ picked }: { picked: string[] }) {
  const [axis, setAxis] = useKept<Axis>('axis', 'step');
  const [log, setLog] = useKept('log', false);
  const [smoothing, setSmoothing] = useKept('smoothing', 0);
  const [hidden, setHidden] = useKept<string[]>('hidden', []);
  const [zoom, setZoom] = useState<Record<string, [number, number]>>({});
  const rows = picked.map((id) => received.rows.get(id)!);
  const names = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))];
  const shown = names.filter((name) => !hidden.includes(name));
  const ask = `${picked.join()}|${shown.join()}`;
  const live = rows.filter((row) => row.live).map(({ id }) => id);
  const { groups, placeOf, controls } = useGrouping(rows);
  const linesOf = (name: string, zoomed: boolean) =>
    groups
      ? groups.flatMap((group, i) => meanLine(group, name, i, axis, zoomed))
      : picked.flatMap((run, i) => lineOf(run, name, placeOf(run, i), axis, zoomed));

  useEffect(() => {
    for (const run of picked) {
      const missing = shown.filter(
        (name) => received.rows.get(run)!.metrics[name] && !received.asked.has(curveKey(run, name)),
      );
      for (const name of missing) received.asked.add(curveKey(run, name));
      askCurves([run], missing, null);
    }
    for (const run of picked) send({ say: 'checkpoints', run });
  }, [ask, received.loads]);
  useEffect(() => {
    if (live.length === 0) return;
    const timer = setInterval(() => askCurves(live, shown, null), REFRESH_MS);
    return () => {
      clearInterval(timer);
      // The last points of a run that ended may have been announced before they were written.
      askCurves(live, shown, null);
    };
  }, [ask, live.join()]);

  const due = useRef<Record<string, ReturnType<typeof setTimeout>>>({});
  const onZoom = (name: string, range: [number, number] | null) => {
    clearTimeout(due.current[name]);
    if (range === null) {
      for (const run of picked) received.zoomed.delete(curveKey(run, name));
      setZoom(({ [name]: _, ...rest }) => rest);
      return;
    }
    setZoom((before) => ({ ...before, [name]: range }));
    if (axis === 'time') return;
    due.current[name] = setTimeout(() => {
      for (const run of picked) {
        const unit = axis === 'epoch' ? (received.rows.get(run)?.stepsPerEpoch ?? 1) : 1;
        askCurves([run], [name], [Math.floor(range[0] * unit), Math.ceil(range[1] * unit)]);
      }
    }, ZOOM_MS);
  };

  return (
    <section aria-label="Curves">
      <div class="bar">
        <AxisChoice axis={axis} choose={setAxis} />
        <label>
          <input type="checkbox" checked={log} onChange={() => setLog(!log)} /> log scale
        </label>
        <label>
          smoothing{' '}
          <input
            type="range"
            min="0"
            max="0.99"
            step="0.01"
            value={smoothing}
            onInput={(event) => setSmoothing(Number(event.currentTarget.value))}
          />{' '}
          <output>{smoothing.toFixed(2)}</output>
        </label>
        {controls}
        <details class="menu">
          <summary>Metrics</summary>
          <div>
            {names.map((name) => (
              <label key={name}>
                <input
                  type="checkbox"
                  checked={!hidden.includes(name)}
                  onChange={() =>
                    setHidden(hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name])
                  }
                />{' '}
                {name}
              </label>
            ))}
          </div>
        </details>
        <span class="quiet">
          drag to zoom, double-click to reset; ▲ checkpoint, ↩ rolled back to here, × NaN or infinite
        </span>
      </div>
      <div class="charts">
        {shown.map((name) => (
          <Chart
            key={name}
            title={titleOf(name, rows)}
            axis={axis}
            log={log}
            smoothing={smoothing}
            lines={linesOf(name, zoom[name] !== undefined)}
            marks={groups ? [] : picked.flatMap((run, i) => marksOf(run, placeOf(run, i), axis))}
            onZoom={(range) => onZoom(name, range)}
            onMark={(id) => {
              const run = picked.find((one) => received.marks.get(one)?.some((mark) => mark.id === id));
              if (run) send({ say: 'checkpoint', run, checkpoint: id });
            }}
          />
        ))}
      </div>
    </section>
  );
}

const means = new Map<string, { from: ChartLine[]; line: ChartLine }>();

/** Makes the line of a group: the mean of its runs, with a band. Returns the same arrays until one of its curves changes. */
function meanLine(group: Group, name: string, place: number, axis: Axis, zoomed: boolean): ChartLine[] {
  const from = group.runs.flatMap((run) => lineOf(run, name, place, axis, zoomed)).filter(({ xs }) => xs.length > 0);
  if (from.length === 0) return [];
  const key = `${name} ${group.label} ${axis}`;
  const kept = means.get(key);
  const isSame =
    kept?.from.length === from.length &&
    kept.from.every(({ xs, ys }, i) => xs === from[i]!.xs && ys === from[i]!.ys) &&
    kept.line.color === colorOf(place);
  if (kept && isSame) return [kept.line];
  const { xs, mean, low, high } = bandOf(from);
  const line: ChartLine = { label: labelOf(group), color: colorOf(place), xs, ys: mean, band: { low, high } };
  means.set(key, { from, line });
  return [line];
}

function askCurves(runs: string[], names: string[], range: [number, number] | null): void {
  if (runs.length === 0 || names.length === 0) return;
  const [from, to] = range ?? [null, null];
  send({ say: 'curves', runs, names: names.slice(0, 50), from, to, buckets: BUCKETS });
}

function titleOf(name: string, rows: RunRow[]): string {
  if (rows.length !== 1) return name;
  const own = rows[0]!.metrics[name];
  if (!own) return name;
  const best = own.best ? `  (${own.best.word} ${metric(own.best.value)} at step ${integer(own.best.step)})` : '';
  return `${name}  last ${metric(own.last)}${best}`;
}

/** Returns a line even while its points are loading: a changed list of lines would rebuild the chart. */
function lineOf(run: string, name: string, place: number, axis: Axis, zoomed: boolean): ChartLine[] {
  const key = curveKey(run, name);
  const curve = (zoomed && received.zoomed.get(key)) || received.curves.get(key);
  const row = received.rows.get(run);
  if (!row?.metrics[name] || (axis === 'epoch' && row.stepsPerEpoch === null)) return [];
  const { best } = row.metrics[name];
  const unit = axis === 'step' ? 1 : axis === 'epoch' ? row.stepsPerEpoch! : null;
  const line = {
    label: row.name,
    color: colorOf(place),
    best: best && unit !== null ? { x: best.step / unit, y: best.value } : undefined,
  };
  if (!curve) return [{ ...line, xs: NOTHING, ys: NOTHING }];
  if (axis === 'time') return [{ ...line, ...byTime(curve) }];
  return [{ ...line, xs: axis === 'epoch' ? epochsOf(curve, row.stepsPerEpoch!) : curve.xs, ys: curve.ys }];
}

const times = new WeakMap<CurveData, Pick<ChartLine, 'xs' | 'ys'>>();

/** Sorts a curve by time. Returns the same arrays each time, so that a chart sees that nothing has changed. */
function byTime(curve: CurveData): Pick<ChartLine, 'xs' | 'ys'> {
  const kept = times.get(curve);
  if (kept) return kept;
  const { places, values } = inOrderOfPlaces(curve.times, curve.ys);
  const made = { xs: places, ys: values };
  times.set(curve, made);
  return made;
}

const epochs = new WeakMap<CurveData, Float64Array>();

/** Converts steps to epochs. Returns the same array each time, so that a chart sees that nothing has changed. */
function epochsOf(curve: CurveData, stepsPerEpoch: number): Float64Array {
  const made = epochs.get(curve) ?? curve.xs.map((x) => x / stepsPerEpoch);
  epochs.set(curve, made);
  return made;
}

function marksOf(run: string, place: number, axis: Axis): ChartMark[] {
  const perEpoch = received.rows.get(run)?.stepsPerEpoch ?? null;
  if (axis === 'time' || (axis === 'epoch' && perEpoch === null)) return [];
  const at = (step: number) => ({ x: axis === 'epoch' ? step / perEpoch! : step, color: colorOf(place) });
  const checkpoints = (received.marks.get(run) ?? []).map(({ id, step, tags }) => ({
    ...at(step),
    id,
    text: tags.join(' '),
  }));
  const rollbacks = received.rows.get(run)?.rollbacks ?? [];
  return [...checkpoints, ...rollbacks.map(({ toStep }) => ({ ...at(toStep), id: null, text: 'rolled back' }))];
}
