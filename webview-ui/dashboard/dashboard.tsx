/** Page with the runs in a table, charts of the chosen ones, and one run's log. */
import { useEffect, useMemo } from 'preact/hooks';
import { counted } from '../../protocol/words.ts';
import { type Column, columnsOf, FIXED, filterOf, shownByDefault, sortedBy } from '../columns.ts';
import type { DashboardNews, DashboardSaid } from '../contract.ts';
import { Charts } from '../shared/charts.tsx';
import { LogPane } from '../shared/log.tsx';
import { drawer, listen } from '../shared/page.ts';
import { receive, received, send, useKept } from '../shared/received.ts';
import { type Choice, choose, chosenOf, firstChoice } from './choice.ts';
import { RunTable } from './run-table.tsx';

let version = 0;
const draw = drawer(() => <Dashboard version={version} />);

draw();
listen<DashboardNews>((news) => {
  receive(news);
  version++;
  draw();
});

function Dashboard({ version: _ }: { version: number }) {
  const [filter, setFilter] = useKept('filter', '');
  const [branch, setBranch] = useKept<string | null>('branch', null);
  const [choice, setChoice] = useKept<Choice | null>('choice', null);
  const [columns, setColumns] = useKept<string[] | null>('columns', null);
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
    return sortedBy(left, all.find(({ key }) => key === order.key) ?? FIXED[4]!, order.descending);
  }, [received.rowsVersion, filter, branch, order]);
  const picked = useMemo(() => chosenOf(choice, received.rows), [received.rowsVersion, choice]);
  // Each run keeps its colour from here on, although newer runs come.
  useEffect(() => {
    if (choice === null && rows.length > 0) setChoice(firstChoice(rows));
  }, [choice, received.rowsVersion]);
  const setChosen = (ids: readonly string[]) => setChoice(choose(ids, received.rows));
  const toggle = (id: string) => setChosen(picked.includes(id) ? picked.filter((one) => one !== id) : [...picked, id]);
  const extend = (ids: string[]) => setChosen([...picked.filter((id) => !ids.includes(id)), ...ids]);
  if (received.problem) return <p class="problem">{received.problem}</p>;
  const branches = [...new Set(rows.map((row) => row.branch))].filter((name) => name !== null);
  const only = picked.length === 1 ? received.rows.get(picked[0]!) : undefined;
  const live = rows.filter((row) => row.live).length;
  const act = (action: Extract<DashboardSaid, { say: 'act' }>['action']) =>
    send({ say: 'act', action, runs: picked.slice(0, 8) });
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
        <span class="grow" />
        <span class="quiet">
          {picked.length > 0
            ? `${picked.length} chosen`
            : 'Choose runs to see their curves; Shift-click selects a range'}
        </span>
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
        <button type="button" disabled={picked.length !== 1} onClick={() => act('export')}>
          Export…
        </button>
        <button
          type="button"
          title="Choose live runs and the newest; later runs join"
          disabled={rows.length === 0}
          onClick={() => setChoice(firstChoice(rows))}
        >
          Newest
        </button>
        <button type="button" disabled={picked.length === 0} onClick={() => setChosen([])}>
          Clear
        </button>
      </div>
      <RunTable
        rows={listed}
        columns={shown}
        picked={picked}
        toggle={toggle}
        extend={extend}
        order={order}
        setOrder={setOrder}
      />
      {picked.length > 0 && <Charts picked={picked} />}
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
