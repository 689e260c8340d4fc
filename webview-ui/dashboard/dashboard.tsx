/** Page with the runs in a table, charts of the chosen ones, and one run's log. */
import { useEffect, useMemo } from 'preact/hooks';
import { counted } from '../../protocol/words.ts';
import { type Column, columnsOf, FIXED, filterOf, shownByDefault, sortedBy } from '../columns.ts';
import type { DashboardNews, DashboardSaid, SavedView } from '../contract.ts';
import { Charts } from '../shared/charts.tsx';
import { LogPane } from '../shared/log.tsx';
import { drawer, listen, offers, savedState, saveState } from '../shared/page.ts';
import { receive, received, send, useKept } from '../shared/received.ts';
import { type Choice, choose, chosenOf, firstChoice } from './choice.ts';
import { Relations } from './relations.tsx';
import { RunTable } from './run-table.tsx';
import { Views } from './views.tsx';

let version = 0;
let views: SavedView[] = [];
/** Grows when a view is opened: all settings are read anew. */
let opened = 0;
const draw = drawer(() => <Dashboard key={opened} version={version} />);

draw();
listen<DashboardNews>((news) => {
  if (news.type === 'views') views = news.views;
  else receive(news);
  version++;
  draw();
});

function Dashboard({ version: _ }: { version: number }) {
  const [filter, setFilter] = useKept('filter', '');
  const [branch, setBranch] = useKept<string | null>('branch', null);
  const [choice, setChoice] = useKept<Choice | null>('choice', null);
  const [columns, setColumns] = useKept<string[] | null>('columns', null);
  const [pinned, setPinned] = useKept<string[]>('pinned', []);
  const [order, setOrder] = useKept('order', { key: 'age', descending: false });
  const rows = [...received.rows.values()];
  const all = useMemo(() => columnsOf(rows), [received.rowsVersion]);
  const shown = useMemo(() => {
    const keys = columns ?? shownByDefault(all, rows);
    return all.filter(({ key }) => keys.includes(key));
  }, [received.rowsVersion, columns]);
  const listed = useMemo(() => {
    const passes = filterOf(filter);
    const left = rows.filter((row) => (branch === null || row.branch === branch) && passes(row));
    const sorted = sortedBy(left, all.find(({ key }) => key === order.key) ?? FIXED[4]!, order.descending);
    // Pinned runs stay on top, whatever the filter and the order are.
    const first = pinned.flatMap((id) => received.rows.get(id) ?? []);
    return [...first, ...sorted.filter(({ id }) => !pinned.includes(id))];
  }, [received.rowsVersion, filter, branch, order, pinned]);
  const picked = useMemo(() => chosenOf(choice, received.rows, pinned), [received.rowsVersion, choice, pinned]);
  // Each run keeps its colour from here on, although newer runs come.
  useEffect(() => {
    if (choice === null && rows.length > 0) setChoice(firstChoice(rows));
  }, [choice, received.rowsVersion]);
  const setChosen = (ids: readonly string[]) => setChoice(choose(ids, received.rows));
  const pin = (id: string) => setPinned(pinned.includes(id) ? pinned.filter((one) => one !== id) : [...pinned, id]);
  const toggle = (id: string) => setChosen(picked.includes(id) ? picked.filter((one) => one !== id) : [...picked, id]);
  const extend = (ids: string[]) => setChosen([...picked.filter((id) => !ids.includes(id)), ...ids]);
  if (received.problem) return <p class="problem">{received.problem}</p>;
  const branches = [...new Set(rows.map((row) => row.branch))].filter((name) => name !== null);
  const live = rows.filter((row) => row.live).length;
  return (
    <main>
      <header class="bar">
        <h1>{received.project}</h1>
        <span class="quiet">
          {listed.length < rows.length
            ? `${listed.length} of ${counted(rows.length, 'run')}`
            : counted(rows.length, 'run')}
          {live > 0 && `, ${live} live`}
          {received.loading && ', loading more'}
        </span>
        {received.device && <span class="quiet device">{received.device}</span>}
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
        <Views views={views} save={saveViews} open={openView} />
        <span class="grow" />
        <span class="quiet">
          {picked.length > 0
            ? `${picked.length} chosen`
            : 'Choose runs to see their curves; Shift-click selects a range'}
        </span>
        <Buttons picked={picked} newest={() => setChoice(firstChoice(rows))} clear={() => setChosen([])} />
      </div>
      <RunTable
        rows={listed}
        columns={shown}
        picked={picked}
        pinned={pinned}
        pin={pin}
        toggle={toggle}
        extend={extend}
        order={order}
        setOrder={setOrder}
      />
      {picked.length > 0 && <Charts picked={picked} />}
      <Relations rows={listed} picked={picked} toggle={toggle} />
      {picked.length > 0 && (
        <LogPane
          runs={picked.map((id) => received.rows.get(id)!)}
          log={received.log}
          follow={(run) => send({ say: 'log', run })}
        />
      )}
    </main>
  );
}

interface ButtonsProps {
  picked: string[];
  newest(): void;
  clear(): void;
}

/** Draws what can be done with the chosen runs. */
function Buttons({ picked, newest, clear }: ButtonsProps) {
  const only = picked.length === 1 ? received.rows.get(picked[0]!) : undefined;
  const act = (action: Extract<DashboardSaid, { say: 'act' }>['action']) =>
    send({ say: 'act', action, runs: picked.slice(0, 8) });
  return (
    <>
      {only?.resumable && (
        <button type="button" onClick={() => act('resume')}>
          Resume
        </button>
      )}
      {only?.live && (
        <button type="button" onClick={() => act('pause')}>
          Pause
        </button>
      )}
      <button type="button" disabled={picked.length === 0} onClick={() => act('diff')}>
        Compare
      </button>
      {offers('export') && (
        <button type="button" disabled={picked.length !== 1} onClick={() => act('export')}>
          Export…
        </button>
      )}
      <button
        type="button"
        title="Choose live runs and the newest; later runs join"
        disabled={received.rows.size === 0}
        onClick={newest}
      >
        Newest
      </button>
      <button type="button" disabled={picked.length === 0} onClick={clear}>
        Clear
      </button>
    </>
  );
}

function saveViews(next: SavedView[]): void {
  views = next;
  send({ say: 'views', views });
  version++;
  draw();
}

function openView({ settings }: SavedView): void {
  const before = Object.keys(savedState()).filter((name) => name !== 'root');
  saveState({ ...Object.fromEntries(before.map((name) => [name, undefined])), ...settings });
  opened++;
  draw();
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
          Reset columns
        </button>
      </div>
    </details>
  );
}
