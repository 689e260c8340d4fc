/** Table of runs: sortable by its column heads, navigable with the keyboard, drawn only where visible. */
import { useRef, useState } from 'preact/hooks';
import { fromWireNumber } from '../../protocol/numbers.ts';
import { age, integer, metric } from '../../protocol/words.ts';
import type { Column } from '../columns.ts';
import type { RunRow } from '../contract.ts';
import { colorOf } from '../shared/chart.tsx';
import { received, send } from '../shared/received.ts';
import { param } from '../shared/words.ts';

const ROW_PIXELS = 24;
/** Number of rows drawn above and below the visible ones. */
const SPARE_ROWS = 12;
/** Most rows that are shown above curves. */
const FEW_ROWS = 12;
/** Height of what stands above the table, in rows. */
const ROWS_OF_HEAD = 8;

interface TableProps {
  rows: RunRow[];
  columns: Column[];
  picked: string[];
  pinned: readonly string[];
  /** Pins a run, or no longer: it stays on top, and its curves are shown. */
  pin(id: string): void;
  toggle(id: string): void;
  /** Chooses all rows from the last chosen one to another, which comes last in `ids`. */
  extend(ids: string[]): void;
  order: { key: string; descending: boolean };
  setOrder(order: { key: string; descending: boolean }): void;
}

/** Draws the table. Only visible rows are in the document: there may be ten thousand. */
export function RunTable({ rows, columns, picked, pinned, pin, toggle, extend, order, setOrder }: TableProps) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [focus, setFocus] = useState(0);
  // Without curves below it the table has the whole page.
  const most = picked.length > 0 ? FEW_ROWS : Math.max(FEW_ROWS, Math.floor(innerHeight / ROW_PIXELS) - ROWS_OF_HEAD);
  const height = Math.min(rows.length, most) * ROW_PIXELS + 30;
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
  const choose = (at: number, range: boolean) => {
    const row = rows[at];
    if (!row) return;
    setFocus(at);
    const from = range ? rows.findIndex(({ id }) => id === picked.at(-1)) : -1;
    if (pinned.includes(row.id)) return;
    if (from < 0 || from === at) return toggle(row.id);
    const between = rows.slice(Math.min(from, at), Math.max(from, at) + 1).map(({ id }) => id);
    extend(from < at ? between : between.reverse());
  };
  const onKey = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = {
      ArrowDown: () => move(focus + 1),
      ArrowUp: () => move(focus - 1),
      PageDown: () => move(focus + 12),
      PageUp: () => move(focus - 12),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      p: () => rows[focus] && pin(rows[focus].id),
      ' ': () => choose(focus, event.shiftKey),
      Enter: () => rows[focus] && send({ say: 'act', action: 'openRun', runs: [rows[focus].id] }),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  if (rows.length === 0)
    return <p class="quiet">{received.rows.size === 0 ? 'No runs yet.' : 'No run matches the filter.'}</p>;
  return (
    // biome-ignore lint/a11y/useSemanticElements: the element scrolls, which a table cannot.
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
          {rows.slice(first, last).map((row, i) => (
            <Row
              key={row.id}
              row={row}
              columns={columns}
              index={first + i + 1}
              isFocused={first + i === focus}
              place={picked.indexOf(row.id)}
              isPinned={pinned.includes(row.id)}
              pin={() => pin(row.id)}
              choose={(range) => choose(first + i, range)}
            />
          ))}
          <tr style={{ height: `${(rows.length - last) * ROW_PIXELS}px` }} aria-hidden />
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  row: RunRow;
  columns: Column[];
  /** Place in the table, from 1. */
  index: number;
  isFocused: boolean;
  /** Place among the chosen runs; -1: it is not chosen. */
  place: number;
  isPinned: boolean;
  pin(): void;
  choose(range: boolean): void;
}

function Row({ row, columns, index, isFocused, place, isPinned, pin, choose }: RowProps) {
  const isPicked = place >= 0;
  return (
    <tr
      id={`row-${row.id}`}
      aria-rowindex={index}
      aria-selected={isPicked}
      class={`${isFocused ? 'focused ' : ''}${isPicked ? 'picked' : ''}`}
      onMouseDown={(event) => {
        // Shift-click selects rows, not text.
        if (event.shiftKey) event.preventDefault();
      }}
      onClick={(event) => choose(event.shiftKey)}
      onDblClick={() => send({ say: 'act', action: 'openRun', runs: [row.id] })}
    >
      <td class="check">
        <span
          class="swatch"
          style={
            isPicked ? { background: colorOf(place) } : { border: '1px solid var(--vscode-descriptionForeground)' }
          }
        />
        <Pin isPinned={isPinned} pin={pin} />
      </td>
      {columns.map((column) => (
        <td key={column.key} class={column.number ? 'number' : ''}>
          {cell(row, column)}
        </td>
      ))}
    </tr>
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

function Pin({ isPinned, pin }: { isPinned: boolean; pin(): void }) {
  const title = isPinned ? 'Unpin (P)' : 'Pin: keep it on top and its curves shown (P)';
  return (
    <button
      type="button"
      class="pin"
      tabIndex={-1}
      aria-pressed={isPinned}
      aria-label={isPinned ? 'Unpin' : 'Pin'}
      title={title}
      onClick={(event) => {
        // The row would choose itself.
        event.stopPropagation();
        pin();
      }}
    >
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M5 1.5h6M6.2 1.5v4.7L4 9.5h8L9.8 6.2V1.5M8 9.5v5" />
      </svg>
    </button>
  );
}

function cell(row: RunRow, { key, value: get }: Column) {
  if (key === 'run')
    return (
      // Params that differ have columns; the label repeats them.
      <span title={row.label || undefined}>{row.name}</span>
    );
  if (key === 'status')
    return (
      <>
        {row.live && row.share !== null ? `${row.status} ${Math.floor(row.share * 100)}%` : row.status}
        {row.alarm && (
          <span class="alarm" title={row.alarm} role="img" aria-label={row.alarm}>
            {' ⚠'}
          </span>
        )}
        {row.rehearsal && <span class="quiet"> {row.rehearsal}</span>}
      </>
    );
  if (key === 'step') return integer(row.step);
  if (key === 'age') return age(row.createdAt);
  const one = get(row);
  if (one == null) return <span class="quiet">–</span>;
  if (key.startsWith('metric:')) return <MetricCell shown={one as number} {...row.metrics[key.slice(7)]!} />;
  return param(one);
}

/** Shows the best value, and the last one as well if that is not finite. The tip tells them apart. */
function MetricCell({ shown, last, best }: { shown: number } & RunRow['metrics'][string]) {
  const tip = `${best ? `${best.word} ${metric(best.value)} at step ${integer(best.step)}, ` : ''}last ${metric(last)}`;
  const isSound = Number.isFinite(fromWireNumber(last));
  return (
    <span title={tip}>
      {(isSound || Number.isFinite(shown)) && metric(shown)}
      {!isSound && (
        <>
          {Number.isFinite(shown) && ' → '}
          <span class="alarm">{metric(last)}</span>
        </>
      )}
    </span>
  );
}
