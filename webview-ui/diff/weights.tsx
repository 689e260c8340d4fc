/** Shows the differences between the tensors of two checkpoints. */
import { useState } from 'preact/hooks';
import type { TensorDiff, WeightsDiff } from '../../protocol/diff.ts';
import { bytes, counted, integer, metric } from '../../protocol/words.ts';
import { ColumnHead } from '../shared/column-head.tsx';
import { percent } from '../shared/words.ts';

const SHOWN_TENSORS = 40;

export function Weights({ equal, counts, only, totals, tensors, notes, readBytes, sides }: WeightsDiff) {
  const [all, setAll] = useState(false);
  if (equal) return <p class="good">Bit-identical.</p>;
  const shown = all ? tensors : tensors.slice(0, SHOWN_TENSORS);
  const words = [
    `${counted(counts.changed, 'tensor')} changed`,
    counts.equal > 0 && `${integer(counts.equal)} equal`,
    counts.reshaped > 0 && `${integer(counts.reshaped)} with a different shape`,
    counts.unreadable > 0 && `${integer(counts.unreadable)} not comparable`,
    `${bytes(readBytes)} read`,
  ].filter(Boolean);
  return (
    <>
      <p>{words.join(', ')}.</p>
      {totals.map(({ part, elements, changed, norm, relative }) => (
        <p class="quiet" key={part}>
          {part}: {percent(changed / elements)} of {integer(elements)} elements changed, by {metric(norm)}
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
                <ColumnHead>Tensor</ColumnHead>
                <ColumnHead>Shape</ColumnHead>
                <ColumnHead>Type</ColumnHead>
                <ColumnHead number>Changed</ColumnHead>
                <ColumnHead number>Relative</ColumnHead>
                <ColumnHead number>Cosine</ColumnHead>
                <ColumnHead number>Largest</ColumnHead>
                <ColumnHead>At</ColumnHead>
                <ColumnHead>Sizes of the differences</ColumnHead>
                <ColumnHead>NaN, ∞</ColumnHead>
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
      <td class="number">{numbers?.largest ? metric(numbers.largest.change) : '–'}</td>
      <td>{numbers?.largest ? shape(numbers.largest.at) : ''}</td>
      <td>{numbers && <Histogram {...numbers} />}</td>
      <td>{special.join(', ')}</td>
    </tr>
  );
}

/** Draws a bar for each power of two, from the smallest difference to the largest. */
function Histogram({ histogram }: NonNullable<TensorDiff['numbers']>) {
  if (histogram.length === 0) return null;
  const [first, last] = [histogram[0]!.e, histogram.at(-1)!.e];
  const most = Math.max(...histogram.map(({ count }) => count));
  const [low, high] = [metric(2 ** first), metric(2 ** (last + 1))];
  return (
    <svg class="histogram" viewBox={`0 0 ${(last - first + 1) * 4} 20`} preserveAspectRatio="none" role="img">
      <title>{`from ${low} to ${high}`}</title>
      {histogram.map(({ e, count }) => (
        <rect x={(e - first) * 4} width={3} y={20 - (20 * count) / most} height={(20 * count) / most} key={e} />
      ))}
    </svg>
  );
}
