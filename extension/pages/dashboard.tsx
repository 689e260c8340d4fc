/** Runs in a table, those that are chosen over each other in charts, one run's log. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { age, integer } from '../../protocol/words.ts';
import { Chart, type ChartLine, type ChartMark, colorOf } from './chart.tsx';
import { type Column, columnsOf, FIXED, filterOf, shownByDefault, sortedBy } from './columns.ts';
import { LogPane } from './log.tsx';
import type { CheckpointMark, DashboardNews, DashboardSaid, RunRow } from './messages.ts';
import { drawer, listen, remember, remembered, say } from './page.ts';
import { param, value } from './words.ts';

const ROW_PIXELS = 24;
/** Above and below what can be seen. */
const SPARE_ROWS = 12;
const MAX_CHOSEN = 20;
/** Two points each: as many as a wide chart has pixels. Zooming in asks for more. */
const BUCKETS = 500;
/** What a live run has logged is asked for again: notifications are lossy. */
const REFRESH_MS = 5_000;
/** While one drags, only the last range is asked for. */
const ZOOM_MS = 200;

interface CurveData {
  xs: Float64Array;
  ys: Float64Array;
  times: Float64Array;
}

/** Everything that the extension has told. */
const known = {
  rows: new Map<string, RunRow>(),
  project: '',
  problem: null as string | null,
  loading: true,
  device: '',
  /** Of runs and metrics whose curves are on their way or here: they are asked for once. */
  asked: new Set<string>(),
  /** By run and metric; `zoomed` is of a part of the steps. */
  curves: new Map<string, CurveData>(),
  zoomed: new Map<string, CurveData>(),
  marks: new Map<string, CheckpointMark[]>(),
  log: { run: '', text: '' },
};
const tell = (message: DashboardSaid) => say(message);
const curveKey = (run: string, name: string) => `${run} ${name}`;
let version = 0;
const draw = drawer(() => <Dashboard version={version} />);

draw();
listen<DashboardNews>((news) => {
  take(news);
  version++;
  draw();
});

function take(news: DashboardNews): void {
  switch (news.type) {
    case 'state':
      known.rows = new Map(news.state.rows.map((row) => [row.id, row]));
      known.project = news.state.project;
      known.loading = news.state.loading;
      known.problem = news.state.problem;
      // After a lost connection what was on its way is not any more.
      known.asked = new Set(known.curves.keys());
      remember({ root: news.state.root });
      break;
    case 'rows':
      for (const row of news.rows) known.rows.set(row.id, row);
      known.loading = news.loading;
      break;
    case 'gone':
      for (const id of news.ids) known.rows.delete(id);
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
function useKept<T>(name: string, initial: T): [T, (next: T) => void] {
  const [state, setState] = useState<T>((remembered()[name] as T | undefined) ?? initial);
  return [
    state,
    (next) => {
      setState(next);
      remember({ [name]: next });
    },
  ];
}

function Dashboard({ version: _ }: { version: number }) {
  const [filter, setFilter] = useKept('filter', '');
  const [branch, setBranch] = useKept<string | null>('branch', null);
  const [chosen, setChosen] = useKept<string[]>('chosen', []);
  const [columns, setColumns] = useKept<string[] | null>('columns', null);
  const [order, setOrder] = useKept('order', { key: 'age', descending: false });
  const rows = [...known.rows.values()];
  const all = useMemo(() => columnsOf(rows), [version]);
  const shown = useMemo(() => {
    const keys = columns ?? shownByDefault(all, rows);
    return all.filter(({ key }) => keys.includes(key));
  }, [version, columns]);
  const listed = useMemo(() => {
    const passes = filterOf(filter);
    const left = rows.filter((row) => (branch === null || row.branch === branch) && passes(row));
    return sortedBy(left, all.find(({ key }) => key === order.key) ?? FIXED[4]!, order.descending);
  }, [version, filter, branch, order]);
  const picked = chosen.filter((id) => known.rows.has(id));
  const toggle = (id: string) => {
    const next = picked.includes(id) ? picked.filter((one) => one !== id) : [...picked, id].slice(-MAX_CHOSEN);
    setChosen(next);
  };
  if (known.problem) return <p class="problem">{known.problem}</p>;
  const branches = [...new Set(rows.map((row) => row.branch))].filter((name) => name !== null);
  const live = rows.filter((row) => row.live).length;
  const act = (action: Extract<DashboardSaid, { say: 'act' }>['action']) =>
    tell({ say: 'act', action, runs: picked.slice(0, 8) });
  return (
    <main>
      <header class="bar">
        <h1>{known.project}</h1>
        <span class="quiet">
          {integer(rows.length)} runs{live > 0 && `, ${live} live`}
          {known.loading && ', more are coming'}
        </span>
        {known.device && <span class="quiet device">{known.device}</span>}
      </header>
      <div class="bar">
        <input
          type="search"
          size={36}
          placeholder="Filter: words, lr>0.001, status=failed"
          aria-label="Filter runs"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        {branches.length > 1 && (
          <select
            aria-label="Branch"
            value={branch ?? ''}
            onChange={(event) => setBranch(event.currentTarget.value || null)}
          >
            <option value="">all branches</option>
            {branches.map((name) => (
              <option value={name} key={name}>
                {name}
              </option>
            ))}
          </select>
        )}
        <ColumnChoice all={all} shown={shown.map(({ key }) => key)} choose={setColumns} />
        <span class="grow" />
        <span class="quiet">{picked.length > 0 ? `${picked.length} chosen` : 'Choose runs to see their curves'}</span>
        <button type="button" disabled={picked.length === 0} onClick={() => act('diff')}>
          Compare
        </button>
        <button type="button" disabled={picked.length !== 1} onClick={() => act('export')}>
          Export…
        </button>
        <button type="button" disabled={picked.length === 0} onClick={() => setChosen([])}>
          Clear
        </button>
      </div>
      <RunTable rows={listed} columns={shown} picked={picked} toggle={toggle} order={order} setOrder={setOrder} />
      {picked.length > 0 && <Charts picked={picked} />}
      {picked.length > 0 && (
        <LogPane
          runs={picked.map((id) => known.rows.get(id)!)}
          log={known.log}
          follow={(run) => tell({ say: 'log', run })}
        />
      )}
    </main>
  );
}

function ColumnChoice({ all, shown, choose }: { all: Column[]; shown: string[]; choose(keys: string[] | null): void }) {
  return (
    <details class="menu">
      <summary>Columns</summary>
      <div>
        {all.map(({ key, title }) => (
          <label key={key}>
            <input
              type="checkbox"
              checked={shown.includes(key)}
              disabled={key === 'run'}
              onChange={() => choose(shown.includes(key) ? shown.filter((one) => one !== key) : [...shown, key])}
            />{' '}
            {title}
          </label>
        ))}
        <button type="button" onClick={() => choose(null)}>
          As they were
        </button>
      </div>
    </details>
  );
}

interface TableProps {
  rows: RunRow[];
  columns: Column[];
  picked: string[];
  toggle(id: string): void;
  order: { key: string; descending: boolean };
  setOrder(order: { key: string; descending: boolean }): void;
}

/** Only what can be seen is in the document: there may be ten thousand. */
function RunTable({ rows, columns, picked, toggle, order, setOrder }: TableProps) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [focus, setFocus] = useState(0);
  const height = Math.min(rows.length, 12) * ROW_PIXELS + 30;
  const first = Math.max(0, Math.floor(top / ROW_PIXELS) - SPARE_ROWS);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_PIXELS) + SPARE_ROWS);
  const move = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    setFocus(next);
    const element = box.current!;
    const at = next * ROW_PIXELS;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + 2 * ROW_PIXELS > element.scrollTop + element.clientHeight)
      element.scrollTop = at + 2 * ROW_PIXELS - element.clientHeight;
  };
  const onKey = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = {
      ArrowDown: () => move(focus + 1),
      ArrowUp: () => move(focus - 1),
      PageDown: () => move(focus + 12),
      PageUp: () => move(focus - 12),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      ' ': () => rows[focus] && toggle(rows[focus].id),
      Enter: () => rows[focus] && tell({ say: 'act', action: 'reveal', runs: [rows[focus].id] }),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  if (rows.length === 0)
    return <p class="quiet">{known.rows.size === 0 ? 'No runs yet.' : 'No run passes the filter.'}</p>;
  return (
    // biome-ignore lint/a11y/useSemanticElements: it scrolls, and a table cannot.
    <div
      class="rows"
      ref={box}
      style={{ height: `${height}px` }}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={onKey}
      tabIndex={0}
      role="grid"
      aria-label="Runs"
      aria-rowcount={rows.length}
      aria-activedescendant={rows[focus] ? `row-${rows[focus].id}` : undefined}
    >
      <table>
        <thead>
          <tr>
            <th class="check" />
            {columns.map((column) => (
              <SortHead key={column.key} column={column} order={order} setOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          <tr style={{ height: `${first * ROW_PIXELS}px` }} aria-hidden />
          {rows.slice(first, last).map((row, i) => {
            const place = picked.indexOf(row.id);
            return (
              <tr
                key={row.id}
                id={`row-${row.id}`}
                aria-rowindex={first + i + 1}
                aria-selected={place >= 0}
                class={`${first + i === focus ? 'focused ' : ''}${place >= 0 ? 'picked' : ''}`}
                onClick={() => {
                  setFocus(first + i);
                  toggle(row.id);
                }}
                onDblClick={() => tell({ say: 'act', action: 'reveal', runs: [row.id] })}
              >
                <td class="check">
                  <span
                    class="swatch"
                    style={
                      place >= 0
                        ? { background: colorOf(place) }
                        : { border: '1px solid var(--vscode-descriptionForeground)' }
                    }
                  />
                </td>
                {columns.map((column) => (
                  <td key={column.key} class={column.number ? 'number' : ''}>
                    {cell(row, column)}
                  </td>
                ))}
              </tr>
            );
          })}
          <tr style={{ height: `${(rows.length - last) * ROW_PIXELS}px` }} aria-hidden />
        </tbody>
      </table>
    </div>
  );
}

function SortHead({ column, order, setOrder }: Pick<TableProps, 'order' | 'setOrder'> & { column: Column }) {
  const isSorted = order.key === column.key;
  return (
    <th
      class={column.number ? 'number' : ''}
      aria-sort={isSorted ? (order.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button
        type="button"
        class="head"
        onClick={() => setOrder({ key: column.key, descending: isSorted && !order.descending })}
      >
        {column.title}
        {isSorted && (order.descending ? ' ↓' : ' ↑')}
      </button>
    </th>
  );
}

function cell(row: RunRow, { key, value: get }: Column) {
  if (key === 'run')
    return (
      <>
        {row.name}
        {row.label && <span class="quiet"> {row.label}</span>}
      </>
    );
  if (key === 'status')
    return row.live && row.share !== null ? `${row.status} ${Math.floor(row.share * 100)}%` : row.status;
  if (key === 'step') return integer(row.step);
  if (key === 'age') return age(row.createdAt);
  const one = get(row);
  if (one == null) return <span class="quiet">–</span>;
  if (key.startsWith('metric:')) return value(one as number);
  return param(one);
}

type Axis = 'step' | 'epoch' | 'time';

function Charts({ picked }: { picked: string[] }) {
  const [axis, setAxis] = useKept<Axis>('axis', 'step');
  const [log, setLog] = useKept('log', false);
  const [smoothing, setSmoothing] = useKept('smoothing', 0);
  const [hidden, setHidden] = useKept<string[]>('hidden', []);
  const [zoom, setZoom] = useState<Record<string, [number, number]>>({});
  const rows = picked.map((id) => known.rows.get(id)!);
  const names = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))];
  const shown = names.filter((name) => !hidden.includes(name));
  const ask = `${picked.join()}|${shown.join()}`;
  const live = rows.filter((row) => row.live).map(({ id }) => id);

  useEffect(() => {
    for (const run of picked) {
      const missing = shown.filter(
        (name) => known.rows.get(run)!.metrics[name] && !known.asked.has(curveKey(run, name)),
      );
      for (const name of missing) known.asked.add(curveKey(run, name));
      askCurves([run], missing, null);
    }
    for (const run of picked) if (!known.marks.has(run)) tell({ say: 'checkpoints', run });
  }, [ask]);
  useEffect(() => {
    if (live.length === 0) return;
    const timer = setInterval(() => askCurves(live, shown, null), REFRESH_MS);
    return () => clearInterval(timer);
  }, [ask, live.join()]);

  const due = useRef<Record<string, ReturnType<typeof setTimeout>>>({});
  const onZoom = (name: string, range: [number, number] | null) => {
    clearTimeout(due.current[name]);
    if (range === null) {
      for (const run of picked) known.zoomed.delete(curveKey(run, name));
      setZoom(({ [name]: _, ...rest }) => rest);
      return;
    }
    setZoom((before) => ({ ...before, [name]: range }));
    if (axis === 'time') return;
    due.current[name] = setTimeout(() => {
      for (const run of picked) {
        const unit = axis === 'epoch' ? (known.rows.get(run)?.stepsPerEpoch ?? 1) : 1;
        askCurves([run], [name], [Math.floor(range[0] * unit), Math.ceil(range[1] * unit)]);
      }
    }, ZOOM_MS);
  };

  return (
    <section aria-label="Curves">
      <div class="bar">
        <label>
          by{' '}
          <select value={axis} onChange={(event) => setAxis(event.currentTarget.value as Axis)}>
            <option value="step">step</option>
            <option value="epoch">epoch</option>
            <option value="time">time</option>
          </select>
        </label>
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
        <span class="quiet">drag to zoom, double-click to go back; ▲ are checkpoints</span>
      </div>
      <div class="charts">
        {shown.map((name) => (
          <Chart
            key={name}
            title={titleOf(name, rows)}
            axis={axis}
            log={log}
            smoothing={smoothing}
            lines={picked.flatMap((run, i) => lineOf(run, name, i, axis, zoom[name] !== undefined))}
            marks={picked.flatMap((run, i) => marksOf(run, i, axis))}
            onZoom={(range) => onZoom(name, range)}
            onMark={(id) => {
              const run = picked.find((one) => known.marks.get(one)?.some((mark) => mark.id === id));
              if (run) tell({ say: 'checkpoint', run, checkpoint: id });
            }}
          />
        ))}
      </div>
    </section>
  );
}

function askCurves(runs: string[], names: string[], range: [number, number] | null): void {
  if (runs.length === 0 || names.length === 0) return;
  const [from, to] = range ?? [null, null];
  tell({ say: 'curves', runs, names: names.slice(0, 50), from, to, buckets: BUCKETS });
}

function titleOf(name: string, rows: RunRow[]): string {
  if (rows.length !== 1) return name;
  const own = rows[0]!.metrics[name];
  return own ? `${name}  ${value(own.last)}  (best ${value(own.best)} at step ${integer(own.bestStep)})` : name;
}

function lineOf(run: string, name: string, place: number, axis: Axis, zoomed: boolean): ChartLine[] {
  const key = curveKey(run, name);
  const curve = (zoomed && known.zoomed.get(key)) || known.curves.get(key);
  const row = known.rows.get(run);
  if (!curve || !row || curve.xs.length === 0) return [];
  const perEpoch = row.stepsPerEpoch;
  if (axis === 'epoch' && perEpoch === null) return [];
  const xs = axis === 'time' ? curve.times : axis === 'epoch' ? curve.xs.map((x) => x / perEpoch!) : curve.xs;
  return [{ label: row.name, color: colorOf(place), xs, ys: curve.ys }];
}

function marksOf(run: string, place: number, axis: Axis): ChartMark[] {
  const perEpoch = known.rows.get(run)?.stepsPerEpoch ?? null;
  if (axis === 'time' || (axis === 'epoch' && perEpoch === null)) return [];
  return (known.marks.get(run) ?? []).map(({ id, step, tags }) => ({
    id,
    x: axis === 'epoch' ? step / perEpoch! : step,
    text: tags.join(' '),
    color: colorOf(place),
  }));
}
