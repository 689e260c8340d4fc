/** One image, histogram, table or text, as it was logged at one step. */
import { useEffect, useState } from 'preact/hooks';
import type { Histogram, MediaContent, MediaItem, MediaKind, Table } from '../../protocol/media.ts';
import { integer, metric } from '../../protocol/words.ts';
import type { MediaSaid } from '../contract.ts';
import { holdMedium, media, useMedium } from './media-store.ts';

/** Rows of a table that are shown at first. */
const FIRST_ROWS = 20;
/** Width below which an image is enlarged with sharp pixels. */
const SMALL = 128;

interface Props {
  item: MediaItem;
  kind: MediaKind;
  name: string;
  ask(message: MediaSaid): void;
}

export function Content({ item: { session, sum, step }, kind, name, ask }: Props) {
  const found = useMedium(sum);
  useEffect(() => holdMedium(sum), [sum]);
  useEffect(() => {
    if (found || media.asked.has(sum)) return;
    media.asked.add(sum);
    ask({ say: 'mediaRead', session, sum, kind });
  });
  if (!found) return <p class="quiet">Loading…</p>;
  if (!found.content) return <p class="quiet">It is not shown: it is damaged, too large, or gone.</p>;
  return <Shown content={found.content} url={found.url} name={`${name} at step ${integer(step)}`} />;
}

function Shown({ content, url, name }: { content: MediaContent; url: string | null; name: string }) {
  switch (content.kind) {
    case 'image': {
      const { width, height } = content;
      const shown = width < SMALL ? width * Math.floor(SMALL / width) : width;
      return url ? (
        <img
          class={width < SMALL ? 'sharp' : ''}
          src={url}
          alt={name}
          width={shown}
          title={`${width} × ${height} pixels`}
        />
      ) : null;
    }
    case 'histogram':
      return <Bars histogram={content.histogram} name={name} />;
    case 'table':
      return <Rows table={content.table} />;
    case 'text':
      return <pre>{content.text}</pre>;
  }
}

const WIDTH = 320;
const HEIGHT = 100;

function Bars({ histogram: { edges, counts, strange }, name }: { histogram: Histogram; name: string }) {
  const [least, most] = [edges[0] ?? 0, edges.at(-1) ?? 0];
  const range = most - least || 1;
  // Bins may differ in width: the area of a bar is how many values are in it.
  const heights = counts.map((count, i) => count / ((edges[i + 1]! - edges[i]!) / range || 1));
  const highest = Math.max(...heights, Number.MIN_VALUE);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <div>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={name}>
        {counts.map((count, i) => {
          const left = ((edges[i]! - least) / range) * WIDTH;
          const right = ((edges[i + 1]! - least) / range) * WIDTH;
          const height = (heights[i]! / highest) * HEIGHT;
          const words = `${metric(edges[i]!)} to ${metric(edges[i + 1]!)}: ${integer(count)}`;
          return (
            <rect key={i} x={left} y={HEIGHT - height} width={Math.max(right - left - 0.5, 0.5)} height={height}>
              <title>{words}</title>
            </rect>
          );
        })}
      </svg>
      <p class="ends">
        <span>{metric(least)}</span>
        <span class="quiet">
          {integer(total)} values{strange > 0 && `, ${integer(strange)} NaN or infinite`}
        </span>
        <span>{metric(most)}</span>
      </p>
    </div>
  );
}

function Rows({ table: { columns, rows, total } }: { table: Table }) {
  const [most, setMost] = useState(FIRST_ROWS);
  const shown = rows.slice(0, most);
  return (
    <div class="wide">
      <table>
        <thead>
          <tr>
            {columns.map((name, i) => (
              <th key={i} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={j} class={typeof cell === 'number' ? 'number' : ''}>
                  {typeof cell === 'number' ? metric(cell) : cell === null ? '–' : String(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < rows.length && (
        <button type="button" onClick={() => setMost(rows.length)}>
          Show {integer(rows.length - shown.length)} more rows
        </button>
      )}
      {total > rows.length && (
        <p class="quiet">
          The first {integer(rows.length)} of {integer(total)} rows are kept.
        </p>
      )}
    </div>
  );
}
