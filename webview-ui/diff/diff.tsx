/** Page that compares runs or checkpoints. It only draws what the extension sends. */
import { useState } from 'preact/hooks';
import { type Diff, differs, type FactDiff, type MetricSide } from '../../protocol/diff.ts';
import type { WireNumber } from '../../protocol/numbers.ts';
import { counted, integer, metric, orDash } from '../../protocol/words.ts';
import type { DiffNews, DiffPageSaid, DiffPageState } from '../contract.ts';
import { AxisChoice } from '../shared/axis.tsx';
import { Chart, colorOf } from '../shared/chart.tsx';
import { CodeFile } from '../shared/code-file.tsx';
import { ColumnHead } from '../shared/column-head.tsx';
import { Media } from '../shared/media.tsx';
import { receiveMedia } from '../shared/media-store.ts';
import { drawer, listen, offers, post, saveState } from '../shared/page.ts';
import { Section } from '../shared/section.tsx';
import { differ, param } from '../shared/words.ts';
import { Weights } from './weights.tsx';

let state: DiffPageState | null = null;
const draw = drawer(() => (state ? <Page {...state} /> : <p class="quiet">Comparing…</p>));
const send = (message: DiffPageSaid) => post(message);

draw();
listen<DiffNews>((news) => {
  if (news.type === 'state') {
    state = news.state;
    saveState({ root: state.root, sides: state.sides });
  } else if (news.type === 'media' || news.type === 'mediaContent') receiveMedia(news);
  else if (state) state = { ...state, weights: state.weights.with(news.of, news.weights) };
  draw();
});

function Page({ diff, problem, weights, curves }: DiffPageState) {
  if (problem) return <p class="problem">{problem}</p>;
  if (!diff) return <p class="quiet">Comparing…</p>;
  return (
    <main>
      <Head diff={diff} />
      <Rows title="Params" sides={diff.sides} rows={diff.params.map(paramRow)} />
      <Metrics diff={diff} curves={curves} />
      <Media
        sides={diff.sides.map(({ run, label, step }, i) => ({ run, label, color: colorOf(i), upTo: step }))}
        live={false}
        ask={send}
      />
      <Code diff={diff} />
      <Rows title="Environment" sides={diff.sides} rows={diff.environment.map(factRow)} />
      <Rows title="Data" sides={diff.sides} rows={diff.data.map(factRow)} />
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

function Head({ diff: { sides, sameState, lineage } }: { diff: Diff }) {
  const same =
    sameState === true
      ? 'The states are bit-identical.'
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
          ? `Common origin: step ${integer(lineage.ancestor.step)}. Since then: ${sides.map(({ label }, i) => `${label} ${counted(lineage.steps[i]!, 'step')}`).join(', ')}.`
          : 'No common origin: each was started from scratch.'}
      </p>
    </header>
  );
}

function SideHeads({ sides }: { sides: Diff['sides'] }) {
  return (
    <>
      {sides.map(({ label }, i) => (
        <ColumnHead number key={i}>
          <span class="swatch" style={{ background: colorOf(i) }} />
          {label}
        </ColumnHead>
      ))}
    </>
  );
}

interface NamedRow {
  name: string;
  /** Cells, one per side. */
  cells: preact.ComponentChildren[];
}

function Rows({ title, sides, rows }: { title: string; sides: Diff['sides']; rows: NamedRow[] }) {
  return (
    <Section title={title} count={rows.length === 0 ? 'identical' : differ(rows.length)}>
      {rows.length > 0 && (
        <table>
          <thead>
            <tr>
              <ColumnHead>Name</ColumnHead>
              <SideHeads sides={sides} />
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, cells }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {cells.map((one, i) => (
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

function paramRow({ name, values }: Diff['params'][number]): NamedRow {
  const cells = values.map(
    (one) =>
      one && (
        <>
          {param(one.value)}
          {one.isDefault && <span class="quiet"> default</span>}
        </>
      ),
  );
  return { name, cells };
}

const factRow = ({ name, values }: FactDiff): NamedRow => ({ name, cells: values });

function Metrics({ diff, curves }: { diff: Diff; curves: DiffPageState['curves'] }) {
  const { sides, metrics, axis, moreMetrics } = diff;
  const [log, setLog] = useState(false);
  const [all, setAll] = useState(false);
  const differing = metrics.filter(differs);
  const shown = all ? metrics : differing;
  const count =
    metrics.length === 0
      ? 'none'
      : differing.length === 0
        ? 'identical'
        : `${differing.length} of ${metrics.length} differ`;
  return (
    <Section title="Metrics" count={count}>
      <div class="bar">
        <AxisChoice axis={axis} choose={(chosen) => send({ say: 'axis', axis: chosen })} />
        <label>
          <input type="checkbox" checked={log} onChange={() => setLog(!log)} /> log scale
        </label>
        <label>
          <input type="checkbox" checked={all} onChange={() => setAll(!all)} /> show equal
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
              <ColumnHead>Metric</ColumnHead>
              <ColumnHead />
              <SideHeads sides={sides} />
              <ColumnHead>First difference</ColumnHead>
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
                      {orDash(of(side))}
                    </td>
                  ))}
                  <td>
                    {row > 0
                      ? ''
                      : partsAt !== null
                        ? `${axis} ${metric(partsAt)}`
                        : common > 0
                          ? equalText(common, own)
                          : '–'}
                  </td>
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

/** Describes equal curves; if one of them is longer, only up to where the other ends. */
function equalText(common: number, sides: readonly MetricSide[]): string {
  return sides.every(({ points }) => points === common) ? 'equal' : `equal at ${integer(common)} common points`;
}

const HEIGHTS: [words: string, of: (side: MetricSide) => WireNumber | null][] = [
  ['last', ({ last }) => last],
  ['lowest', ({ min }) => min],
  ['highest', ({ max }) => max],
  ['mean', ({ mean }) => mean],
];

function Code({ diff: { sides, code } }: { diff: Diff }) {
  const { files, kept, more } = code;
  const count = !kept.every(Boolean)
    ? 'not kept on every side'
    : files.length === 0
      ? 'identical'
      : counted(files.length + more, 'file differs', 'files differ');
  return (
    <Section title="Code" count={count}>
      {sides.slice(1).map((_, i) => {
        const own = files.filter(({ side }) => side === i + 1);
        return (
          own.length > 0 && (
            <div key={i}>
              {own.map((file) => (
                <CodeFile
                  {...file}
                  key={file.path}
                  open={() => send({ say: 'openFile', side: i + 1, path: file.path })}
                />
              ))}
              {offers('openAll') && (
                <button type="button" onClick={() => send({ say: 'openAll', side: i + 1 })}>
                  Open all in the diff editor
                </button>
              )}
            </div>
          )
        );
      })}
      {more > 0 && <p class="quiet">{integer(more)} more files are not shown.</p>}
    </Section>
  );
}
