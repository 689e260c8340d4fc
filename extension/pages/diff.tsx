/** The page that says what is different between runs or checkpoints. It only draws what the extension has asked for. */
import { useState } from 'preact/hooks';
import type { CodeFileDiff, Diff, FactDiff, MetricSide, TensorDiff, WeightsDiff } from '../../protocol/diff.ts';
import { fromWireNumber, type WireNumber } from '../../protocol/domain.ts';
import { bytes, integer } from '../../protocol/words.ts';
import { Chart, colorOf } from './chart.tsx';
import type { DiffPageSaid, DiffPageState } from './messages.ts';
import { drawer, listen, remember, remembered, say } from './page.ts';
import { differ, param, percent, value } from './words.ts';

let state: DiffPageState | null = null;
const draw = drawer(() => (state ? <Page {...state} /> : <p class="quiet">Comparing…</p>));
const tell = (message: DiffPageSaid) => say(message);

draw();
listen<{ type: 'state'; state: DiffPageState }>((news) => {
  state = news.state;
  remember({ root: state.root, sides: state.sides });
  draw();
});

function Page({ diff, problem, weights, curves }: DiffPageState) {
  if (problem) return <p class="problem">{problem}</p>;
  if (!diff) return <p class="quiet">Comparing…</p>;
  return (
    <main>
      <Head diff={diff} />
      <Params diff={diff} />
      <Metrics diff={diff} curves={curves} />
      <Code diff={diff} />
      <Facts title="Environment" sides={diff.sides} facts={diff.environment} />
      <Facts title="Data" sides={diff.sides} facts={diff.data} />
      {weights.map((one, i) => (
        <Section title={`Weights${weights.length > 1 ? `: ${diff.sides[i + 1]!.label}` : ''}`} key={i}>
          {'diff' in one ? (
            <Weights {...one.diff} />
          ) : 'problem' in one ? (
            <p class="quiet">{one.problem}</p>
          ) : (
            <progress value={one.share} aria-label="Comparing weights" />
          )}
        </Section>
      ))}
    </main>
  );
}

function Section({ title, children, count }: { title: string; children: preact.ComponentChildren; count?: string }) {
  const folded = (remembered().folded as string[] | undefined) ?? [];
  return (
    <details
      class="section"
      open={!folded.includes(title)}
      onToggle={(event) => {
        const others = ((remembered().folded as string[] | undefined) ?? []).filter((name) => name !== title);
        remember({ folded: event.currentTarget.open ? others : [...others, title] });
      }}
    >
      <summary>
        <h2>{title}</h2>
        {count && <span class="quiet">{count}</span>}
      </summary>
      {children}
    </details>
  );
}

function Head({ diff: { sides, sameState, lineage } }: { diff: Diff }) {
  const same =
    sameState === true
      ? 'The states are the same to the last bit.'
      : sameState === false
        ? 'The states differ.'
        : 'Not every side has a checkpoint.';
  return (
    <header>
      <h1>
        {sides.map(({ label }, i) => (
          <span key={i}>
            {i > 0 && <span class="quiet"> and </span>}
            <span class="swatch" style={{ background: colorOf(i) }} />
            {label}
          </span>
        ))}
      </h1>
      <p class={sameState === true ? 'good' : ''}>{same}</p>
      <p class="quiet">
        {lineage.ancestor
          ? `Both come from step ${integer(lineage.ancestor.step)}; since then ${sides.map(({ label }, i) => `${label} went ${integer(lineage.steps[i]!)} steps`).join(', ')}.`
          : 'They have no checkpoint in common: each was started from the beginning.'}
      </p>
    </header>
  );
}

function SideHeads({ sides }: { sides: Diff['sides'] }) {
  return (
    <>
      {sides.map(({ label }, i) => (
        <th scope="col" class="number" key={i}>
          <span class="swatch" style={{ background: colorOf(i) }} />
          {label}
        </th>
      ))}
    </>
  );
}

function Params({ diff: { sides, params } }: { diff: Diff }) {
  return (
    <Section title="Params" count={params.length === 0 ? 'the same' : differ(params.length)}>
      {params.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <SideHeads sides={sides} />
            </tr>
          </thead>
          <tbody>
            {params.map(({ name, values }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {values.map((one, i) => (
                  <td class="number" key={i}>
                    {one ? param(one.value) : '–'}
                    {one?.isDefault && <span class="quiet"> default</span>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

function Metrics({ diff, curves }: { diff: Diff; curves: DiffPageState['curves'] }) {
  const { sides, metrics, axis, moreMetrics } = diff;
  const [log, setLog] = useState(false);
  const [all, setAll] = useState(false);
  const differing = metrics.filter(
    ({ partsAt, common, sides: own }) => partsAt !== null || common < (own[0]?.points ?? 0),
  );
  const shown = all ? metrics : differing;
  const count =
    metrics.length === 0
      ? 'none'
      : differing.length === 0
        ? 'the same'
        : `${differing.length} of ${metrics.length} differ`;
  return (
    <Section title="Metrics" count={count}>
      <div class="bar">
        <label>
          by{' '}
          <select
            value={axis}
            onChange={(event) => tell({ say: 'axis', axis: event.currentTarget.value as typeof axis })}
          >
            <option value="step">step</option>
            <option value="epoch">epoch</option>
            <option value="time">time</option>
          </select>
        </label>
        <label>
          <input type="checkbox" checked={log} onChange={() => setLog(!log)} /> log scale
        </label>
        <label>
          <input type="checkbox" checked={all} onChange={() => setAll(!all)} /> those that are equal, too
        </label>
      </div>
      <div class="charts">
        {curves
          .filter(({ name }) => shown.some((one) => one.name === name))
          .map(({ name, curves: own }) => (
            <Chart
              key={name}
              title={name}
              axis={axis}
              log={log}
              smoothing={0}
              height={180}
              lines={own.map(({ of, xs, ys }) => ({ label: sides[of]!.label, color: colorOf(of), xs, ys }))}
            />
          ))}
      </div>
      {shown.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Metric</th>
              <th scope="col" />
              <SideHeads sides={sides} />
              <th scope="col">Part at</th>
            </tr>
          </thead>
          <tbody>
            {shown.flatMap(({ name, sides: own, partsAt, common }) =>
              HEIGHTS.map(([words, of], row) => (
                <tr key={`${name} ${words}`}>
                  <th scope="row">{row === 0 && name}</th>
                  <td class="quiet">{words}</td>
                  {own.map((side, i) => (
                    <td class="number" key={i}>
                      {wire(of(side))}
                    </td>
                  ))}
                  <td>{row > 0 ? '' : partsAt !== null ? `${axis} ${value(partsAt)}` : common > 0 ? 'equal' : '–'}</td>
                </tr>
              )),
            )}
          </tbody>
        </table>
      )}
      {moreMetrics > 0 && <p class="quiet">{integer(moreMetrics)} more metrics are not shown.</p>}
    </Section>
  );
}

const HEIGHTS: [words: string, of: (side: MetricSide) => WireNumber | null][] = [
  ['last', ({ last }) => last],
  ['lowest', ({ min }) => min],
  ['highest', ({ max }) => max],
  ['mean height', ({ mean }) => mean],
];

const MARKS = { added: '+', removed: '−', changed: '~' };

function Code({ diff: { sides, code } }: { diff: Diff }) {
  const { files, kept, more } = code;
  const count = !kept.every(Boolean)
    ? 'not kept of every side'
    : files.length === 0
      ? 'the same'
      : `${integer(files.length + more)} files differ`;
  return (
    <Section title="Code" count={count}>
      {sides.slice(1).map((_, i) => {
        const own = files.filter(({ side }) => side === i + 1);
        return (
          own.length > 0 && (
            <div key={i}>
              {own.map((file) => (
                <CodeFile {...file} key={file.path} />
              ))}
              <button type="button" onClick={() => tell({ say: 'openAll', side: i + 1 })}>
                Open all in the diff editor
              </button>
            </div>
          )
        );
      })}
      {more > 0 && <p class="quiet">{integer(more)} more files are not shown.</p>}
    </Section>
  );
}

function CodeFile({ path, side, status, added, removed, hunks }: CodeFileDiff) {
  return (
    <details class="file">
      <summary>
        <span class={status} role="img" aria-label={status}>
          {MARKS[status]}
        </span>{' '}
        {path}{' '}
        <span class="quiet">
          {hunks === null ? 'no text, or too much of it' : `+${integer(added)} −${integer(removed)}`}
        </span>
        <button
          type="button"
          class="link"
          onClick={(event) => {
            event.preventDefault();
            tell({ say: 'openFile', side, path });
          }}
        >
          Open
        </button>
      </summary>
      {hunks !== null && (
        <pre>
          {hunks.split('\n').map((line, i) => (
            <span
              class={
                line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : line.startsWith('@@') ? 'quiet' : ''
              }
              key={i}
            >
              {line}
              {'\n'}
            </span>
          ))}
        </pre>
      )}
    </details>
  );
}

function Facts({ title, sides, facts }: { title: string; sides: Diff['sides']; facts: FactDiff[] }) {
  return (
    <Section title={title} count={facts.length === 0 ? 'the same' : differ(facts.length)}>
      {facts.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <SideHeads sides={sides} />
            </tr>
          </thead>
          <tbody>
            {facts.map(({ name, values }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {values.map((one, i) => (
                  <td class="number" key={i}>
                    {one ?? '–'}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

const SHOWN_TENSORS = 40;

function Weights({ equal, counts, only, totals, tensors, notes, readBytes, sides }: WeightsDiff) {
  const [all, setAll] = useState(false);
  if (equal) return <p class="good">The same to the last bit.</p>;
  const shown = all ? tensors : tensors.slice(0, SHOWN_TENSORS);
  const words = [
    `${integer(counts.changed)} tensors changed`,
    counts.equal > 0 && `${integer(counts.equal)} equal`,
    counts.reshaped > 0 && `${integer(counts.reshaped)} of another shape`,
    counts.unreadable > 0 && `${integer(counts.unreadable)} that cannot be compared`,
    `${bytes(readBytes)} read`,
  ].filter(Boolean);
  return (
    <>
      <p>{words.join(', ')}.</p>
      {totals.map(({ part, elements, changed, norm, relative }) => (
        <p class="quiet" key={part}>
          {part}: {percent(changed / elements)} of {integer(elements)} elements changed, by {value(norm)}
          {relative !== null && ` (${percent(relative)} of their norm)`}
        </p>
      ))}
      {only.map(
        ({ names, count }, i) =>
          count > 0 && (
            <p class="quiet" key={i}>
              Only in {sides[i]}: {names.slice(0, 12).join(', ')}
              {count > 12 && `, … ${integer(count - 12)} more`}
            </p>
          ),
      )}
      {notes.map((note) => (
        <p class="quiet" key={note}>
          {note}
        </p>
      ))}
      {shown.length > 0 && (
        <div class="wide">
          <table class="weights">
            <thead>
              <tr>
                <th scope="col">Tensor</th>
                <th scope="col">Shape</th>
                <th scope="col">Type</th>
                <th scope="col" class="number">
                  Changed
                </th>
                <th scope="col" class="number">
                  Relative
                </th>
                <th scope="col" class="number">
                  Cosine
                </th>
                <th scope="col" class="number">
                  Largest
                </th>
                <th scope="col">At</th>
                <th scope="col">Sizes of the differences</th>
                <th scope="col">NaN, ∞</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((tensor) => (
                <TensorRow {...tensor} key={tensor.name} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {tensors.length > shown.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show {integer(tensors.length - shown.length)} more
        </button>
      )}
    </>
  );
}

function TensorRow({ name, otherName, dtypes, shapes, numbers }: TensorDiff) {
  const shape = (one: number[]) => `[${one.join(', ')}]`;
  const special = numbers
    ? [
        numbers.nan[0] + numbers.nan[1] > 0 && `NaN ${numbers.nan.join(' → ')}`,
        numbers.infinite[0] + numbers.infinite[1] > 0 && `∞ ${numbers.infinite.join(' → ')}`,
      ].filter(Boolean)
    : [];
  return (
    <tr>
      <th scope="row">
        {name}
        {otherName && <span class="quiet"> → {otherName}</span>}
      </th>
      <td>{`${shapes[0]}` === `${shapes[1]}` ? shape(shapes[0]) : `${shape(shapes[0])} → ${shape(shapes[1])}`}</td>
      <td>{dtypes[0] === dtypes[1] ? dtypes[0] : dtypes.join(' → ')}</td>
      <td class="number">{numbers ? percent(numbers.changed / numbers.elements) : '–'}</td>
      <td class="number">
        {numbers && numbers.relative !== null ? (
          <>
            <span class="track">
              <span class="meter" style={{ width: `${Math.min(1, numbers.relative) * 60}px` }} />
            </span>{' '}
            {percent(numbers.relative)}
          </>
        ) : (
          '–'
        )}
      </td>
      <td class="number">{numbers && numbers.cosine !== null ? numbers.cosine.toFixed(4) : '–'}</td>
      <td class="number">{numbers?.largest ? value(numbers.largest.change) : '–'}</td>
      <td>{numbers?.largest ? shape(numbers.largest.at) : ''}</td>
      <td>{numbers && <Histogram {...numbers} />}</td>
      <td>{special.join(', ')}</td>
    </tr>
  );
}

/** A bar for each power of two, from the smallest difference to the largest. */
function Histogram({ histogram }: NonNullable<TensorDiff['numbers']>) {
  if (histogram.length === 0) return null;
  const [first, last] = [histogram[0]!.e, histogram.at(-1)!.e];
  const most = Math.max(...histogram.map(({ count }) => count));
  const [low, high] = [value(2 ** first), value(2 ** (last + 1))];
  return (
    <svg class="histogram" viewBox={`0 0 ${(last - first + 1) * 4} 20`} preserveAspectRatio="none" role="img">
      <title>{`from ${low} to ${high}`}</title>
      {histogram.map(({ e, count }) => (
        <rect x={(e - first) * 4} width={3} y={20 - (20 * count) / most} height={(20 * count) / most} key={e} />
      ))}
    </svg>
  );
}

function wire(one: WireNumber | null): string {
  return one === null ? '–' : value(fromWireNumber(one));
}
