/** Page that shows the contents of a checkpoint file. */
import { useState } from 'preact/hooks';
import type { FileInspection, InspectedTensor } from '../../protocol/domain.ts';
import { sentence } from '../../protocol/ingredients.ts';
import { bytes, counted, integer, metric } from '../../protocol/words.ts';
import type { FilePageSaid, FilePageState } from '../contract.ts';
import { ColumnHead } from '../shared/column-head.tsx';
import { drawer, listen, post } from '../shared/page.ts';
import { param } from '../shared/words.ts';

/** Delay after the last key before the filter is applied. */
const TYPING_MS = 200;
const STATES = { kept: 'kept', absent: 'none', lost: 'not kept' };

let state: FilePageState | null = null;
const draw = drawer(() => (state ? <Page {...state} /> : <p class="quiet">Reading…</p>));

draw();
listen<{ type: 'state'; state: FilePageState }>((news) => {
  state = news.state;
  draw();
});

function Page({ inspection, problem, ...state }: FilePageState) {
  const { name } = state;
  if (problem)
    return (
      <main>
        <h1>{name}</h1>
        <p class="problem">{problem}</p>
      </main>
    );
  return inspection ? <Contents {...state} {...inspection} /> : <p class="quiet">Reading…</p>;
}

function Contents({
  name,
  format,
  bytes: size,
  version,
  tensors,
  tensorCount,
  foundCount,
  elements,
  values,
  valueCount,
  classes,
  classCount,
  notes,
  next,
  statistics: hasStatistics,
  reading,
  ingredients,
}: FileInspection & Pick<FilePageState, 'name' | 'statistics' | 'reading'>) {
  const [filter, setFilter] = useState('');
  const facts = [format, version, bytes(size), counted(tensorCount, 'tensor'), counted(elements, 'element')];
  return (
    <main>
      <h1>{name}</h1>
      <p class="quiet">{facts.filter(Boolean).join(' · ')}</p>
      {notes.map((note) => (
        <p class="quiet" key={note}>
          {note}
        </p>
      ))}
      {ingredients && ingredients.length > 0 && (
        <details class="section" open>
          <summary>
            <h2>State</h2>
          </summary>
          <table>
            <tbody>
              {ingredients.map((one) => (
                <tr key={`${one.kind} ${one.name}`}>
                  <th scope="row">{one.kind}</th>
                  <td>{STATES[one.state]}</td>
                  <td class={one.state === 'lost' ? 'problem' : undefined}>
                    {sentence(one)}
                    {one.code && <span class="quiet"> · trainstash help {one.code}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      {values.length > 0 && (
        <details class="section" open={valueCount <= 40}>
          <summary>
            <h2>Values</h2>
            <span class="quiet">{countText(valueCount, values.length)}</span>
          </summary>
          <table>
            <tbody>
              {values.map((one) => (
                <tr key={one.name}>
                  <th scope="row">{one.name}</th>
                  <td>{param(one.value)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      {classes.length > 0 && (
        <details class="section">
          <summary>
            <h2>Classes that the file refers to</h2>
            <span class="quiet">{countText(classCount, classes.length)}, none of them loaded</span>
          </summary>
          <p>{classes.map((one) => `${one.name} (${one.count})`).join(', ')}</p>
        </details>
      )}
      <details class="section" open>
        <summary>
          <h2>Tensors</h2>
          <span class="quiet">{countText(foundCount, tensors.length)}</span>
        </summary>
        <div class="bar">
          <input
            type="search"
            placeholder="Filter"
            aria-label="Filter tensors"
            value={filter}
            onInput={(event) => {
              setFilter(event.currentTarget.value);
              askFor(event.currentTarget.value);
            }}
          />
          {!hasStatistics && (
            <button type="button" disabled={reading} onClick={() => post({ say: 'statistics' } satisfies FilePageSaid)}>
              Compute min, mean, max
            </button>
          )}
          {reading && <span class="quiet">Reading…</span>}
        </div>
        <table class="weights">
          <thead>
            <tr>
              <ColumnHead>Name</ColumnHead>
              <ColumnHead>Shape</ColumnHead>
              <ColumnHead>Type</ColumnHead>
              <ColumnHead number>Size</ColumnHead>
              {hasStatistics && (
                <>
                  <ColumnHead number>Min</ColumnHead>
                  <ColumnHead number>Mean</ColumnHead>
                  <ColumnHead number>Max</ColumnHead>
                  <ColumnHead>NaN, ∞</ColumnHead>
                </>
              )}
            </tr>
          </thead>
          <tbody>
            {tensors.map((tensor, i) => (
              <Row {...tensor} withStatistics={hasStatistics} key={i} />
            ))}
          </tbody>
        </table>
        {next && (
          <button type="button" disabled={reading} onClick={() => post({ say: 'more' } satisfies FilePageSaid)}>
            {tensors.length < foundCount ? `Show more of ${integer(foundCount)}` : 'Show more'}
          </button>
        )}
      </details>
    </main>
  );
}

let typing: ReturnType<typeof setTimeout> | undefined;

function askFor(text: string): void {
  clearTimeout(typing);
  typing = setTimeout(() => post({ say: 'filter', text: text.slice(0, 200) } satisfies FilePageSaid), TYPING_MS);
}

function countText(count: number, listed: number): string {
  return count > listed ? `${integer(count)}, the first ${integer(listed)} are listed` : integer(count);
}

function Row({
  name,
  shape,
  dtype,
  bytes: size,
  tiedTo,
  statistics,
  noStatistics,
  remark,
  withStatistics,
}: InspectedTensor & { withStatistics: boolean }) {
  return (
    <tr>
      <th scope="row">
        {name}
        {tiedTo && <span class="quiet"> is {tiedTo}</span>}
        {remark && <span class="quiet"> {remark}</span>}
      </th>
      <td>{`[${shape.join(', ')}]`}</td>
      <td>{dtype}</td>
      <td class="number">{size === null ? '–' : bytes(size)}</td>
      {withStatistics && !statistics && <td colSpan={4}>{noStatistics !== remark && noStatistics}</td>}
      {withStatistics && statistics && (
        <>
          <td class="number">{metric(statistics.min)}</td>
          <td class="number">{metric(statistics.mean)}</td>
          <td class="number">{metric(statistics.max)}</td>
          <td>
            {statistics.nan > 0 && `NaN ${integer(statistics.nan)} `}
            {statistics.infinite > 0 && `∞ ${integer(statistics.infinite)}`}
          </td>
        </>
      )}
    </tr>
  );
}
