/** What a checkpoint file holds. */
import { useState } from 'preact/hooks';
import type { FileInspection, InspectedTensor } from '../../protocol/domain.ts';
import { sentence } from '../../protocol/ingredients.ts';
import { bytes, integer } from '../../protocol/words.ts';
import type { FilePageSaid, FilePageState } from './messages.ts';
import { drawer, listen, say } from './page.ts';
import { param, value } from './words.ts';

const SHOWN = 500;
const STATES = { kept: 'kept', absent: 'not there', lost: 'not kept' };

let state: FilePageState | null = null;
const draw = drawer(() => (state ? <Page {...state} /> : <p class="quiet">Reading…</p>));

draw();
listen<{ type: 'state'; state: FilePageState }>((news) => {
  state = news.state;
  draw();
});

function Page({ name, inspection, problem }: FilePageState) {
  if (problem)
    return (
      <main>
        <h1>{name}</h1>
        <p class="problem">{problem}</p>
      </main>
    );
  return inspection ? <Contents name={name} {...inspection} /> : <p class="quiet">Reading…</p>;
}

function Contents({
  name,
  format,
  bytes: size,
  version,
  tensors,
  tensorCount,
  elements,
  values,
  classes,
  notes,
  ingredients,
}: FileInspection & { name: string }) {
  const [filter, setFilter] = useState('');
  const [all, setAll] = useState(false);
  const [reading, setReading] = useState(false);
  const found = tensors.filter((tensor) => tensor.name.toLowerCase().includes(filter.toLowerCase()));
  const shown = all ? found : found.slice(0, SHOWN);
  const hasStatistics = tensors.some(({ statistics }) => statistics !== null);
  const facts = [format, version, bytes(size), `${integer(tensorCount)} tensors`, `${integer(elements)} elements`];
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
            <h2>What it is made of</h2>
          </summary>
          <table>
            <tbody>
              {ingredients.map((one) => (
                <tr key={`${one.kind} ${one.name}`}>
                  <th scope="row">{one.kind}</th>
                  <td>{STATES[one.state]}</td>
                  <td class={one.state === 'lost' ? 'problem' : undefined}>{sentence(one)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      {values.length > 0 && (
        <details class="section" open={values.length <= 40}>
          <summary>
            <h2>Values</h2>
            <span class="quiet">{integer(values.length)}</span>
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
            <h2>Classes that the file names</h2>
            <span class="quiet">none of them is loaded</span>
          </summary>
          <p>{classes.map((one) => `${one.name} (${one.count})`).join(', ')}</p>
        </details>
      )}
      <details class="section" open>
        <summary>
          <h2>Tensors</h2>
          <span class="quiet">
            {integer(tensorCount)}
            {tensorCount > tensors.length && `, the first ${integer(tensors.length)} are listed`}
          </span>
        </summary>
        <div class="bar">
          <input
            type="search"
            placeholder="Filter"
            aria-label="Filter tensors"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
          {!hasStatistics && (
            <button
              type="button"
              disabled={reading}
              onClick={() => {
                setReading(true);
                say({ say: 'statistics' } satisfies FilePageSaid);
              }}
            >
              {reading ? 'Reading all of it…' : 'Smallest, largest, mean'}
            </button>
          )}
        </div>
        <table class="weights">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Shape</th>
              <th scope="col">Type</th>
              <th scope="col" class="number">
                Size
              </th>
              {hasStatistics && (
                <>
                  <th scope="col" class="number">
                    Smallest
                  </th>
                  <th scope="col" class="number">
                    Mean
                  </th>
                  <th scope="col" class="number">
                    Largest
                  </th>
                  <th scope="col">NaN, ∞</th>
                </>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map((tensor) => (
              <Row {...tensor} withStatistics={hasStatistics} key={tensor.name} />
            ))}
          </tbody>
        </table>
        {found.length > shown.length && (
          <button type="button" onClick={() => setAll(true)}>
            Show {integer(found.length - shown.length)} more
          </button>
        )}
      </details>
    </main>
  );
}

function Row({
  name,
  shape,
  dtype,
  bytes: size,
  tiedTo,
  statistics,
  withStatistics,
}: InspectedTensor & { withStatistics: boolean }) {
  return (
    <tr>
      <th scope="row">
        {name}
        {tiedTo && <span class="quiet"> is {tiedTo}</span>}
      </th>
      <td>{`[${shape.join(', ')}]`}</td>
      <td>{dtype}</td>
      <td class="number">{size === null ? '–' : bytes(size)}</td>
      {withStatistics && (
        <>
          <td class="number">{statistics ? value(statistics.min) : '–'}</td>
          <td class="number">{statistics ? value(statistics.mean) : '–'}</td>
          <td class="number">{statistics ? value(statistics.max) : '–'}</td>
          <td>
            {statistics && statistics.nan > 0 && `NaN ${integer(statistics.nan)} `}
            {statistics && statistics.infinite > 0 && `∞ ${integer(statistics.infinite)}`}
          </td>
        </>
      )}
    </tr>
  );
}
