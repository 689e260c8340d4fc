/** Section that relates params to metrics: parallel coordinates of all listed runs, and a scatter plot of two of their axes. */
import { useState } from 'preact/hooks';
import type { RunRow } from '../contract.ts';
import { useKept } from '../shared/received.ts';
import { Section } from '../shared/section.tsx';
import { axisKeys, axisOf, MOST_AXES, type RelationAxis } from './axes.ts';

const WIDTH = 560;
const HEIGHT = 220;
const EDGE = 60;
const SQUARE = 320;
/** Runs that are drawn: more are a grey area. */
const MOST_RUNS = 500;

interface Props {
  rows: readonly RunRow[];
  picked: readonly string[];
  toggle(id: string): void;
}

export function Relations({ rows: all, picked, toggle }: Props) {
  const rows = all.filter(({ metrics }) => Object.keys(metrics).length > 0).slice(0, MOST_RUNS);
  const keys = axisKeys(rows);
  const metrics = keys.filter((key) => key.startsWith('metric:'));
  if (rows.length < 2 || metrics.length === 0 || metrics.length === keys.length) return null;
  return (
    <Section title="Params and metrics" count={`${rows.length} runs`}>
      <Related rows={rows} keys={keys} picked={picked} toggle={toggle} />
    </Section>
  );
}

function Related({ rows, keys, picked, toggle }: Props & { keys: readonly string[] }) {
  const [chosenX, setX] = useKept<string | null>('scatterX', null);
  const [chosenY, setY] = useKept<string | null>('scatterY', null);
  const params = keys.filter((key) => key.startsWith('param:'));
  const metrics = keys.filter((key) => key.startsWith('metric:'));
  const shown = [...params.slice(0, MOST_AXES - 1), metrics[0]!];
  const axes = shown.flatMap((key) => axisOf(rows, key) ?? []);
  const x = axisOf(rows, chosenX !== null && keys.includes(chosenX) ? chosenX : params[0]!);
  const y = axisOf(rows, chosenY !== null && keys.includes(chosenY) ? chosenY : metrics[0]!);
  const judged = axisOf(rows, metrics[0]!);
  return (
    <div class="relations">
      <Parallel rows={rows} axes={axes} judged={judged} picked={picked} toggle={toggle} />
      {x && y && (
        <figure>
          <figcaption class="bar">
            <AxisSelect label="Across" keys={keys} value={x.key} choose={setX} />
            <AxisSelect label="Up" keys={keys} value={y.key} choose={setY} />
          </figcaption>
          <Scatter rows={rows} x={x} y={y} judged={judged} picked={picked} toggle={toggle} />
        </figure>
      )}
    </div>
  );
}

interface SelectProps {
  label: string;
  keys: readonly string[];
  value: string;
  choose(key: string): void;
}

function AxisSelect({ label, keys, value, choose }: SelectProps) {
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {keys.map((key) => (
          <option key={key} value={key}>
            {key.slice(key.indexOf(':') + 1)}
          </option>
        ))}
      </select>
    </label>
  );
}

interface DrawnProps extends Props {
  /** Axis of the metric that colours runs: from blue at its lower to red at its upper end. */
  judged: RelationAxis | null;
}

function Parallel({ rows, axes, judged, picked, toggle }: DrawnProps & { axes: RelationAxis[] }) {
  const [over, setOver] = useState<string | null>(null);
  const left = (i: number) => EDGE + (i * (WIDTH - 2 * EDGE)) / Math.max(1, axes.length - 1);
  const up = (place: number) => HEIGHT - 30 - place * (HEIGHT - 60);
  const named = rows.find(({ id }) => id === over);
  return (
    <figure>
      <figcaption class="quiet">
        {named ? `${named.name} ${named.label}` : 'Each line is a run; click one to choose it'}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="Parallel coordinates of params and metrics">
        {rows.map(({ id, name }, run) => (
          // biome-ignore lint/a11y/noStaticElementInteractions: the rows of the table do the same by keys
          <polyline
            key={id}
            class={`run${picked.includes(id) ? ' picked' : ''}${over === id ? ' over' : ''}`}
            stroke={colorAt(judged?.places[run] ?? null)}
            points={axes
              .flatMap((axis, i) => {
                const place = axis.places[run];
                return place === null || place === undefined ? [] : [`${left(i)},${up(place)}`];
              })
              .join(' ')}
            onMouseEnter={() => setOver(id)}
            onMouseLeave={() => setOver(null)}
            onClick={() => toggle(id)}
          >
            <title>{name}</title>
          </polyline>
        ))}
        {axes.map((axis, i) => (
          <g key={axis.key}>
            <line class="axis" x1={left(i)} x2={left(i)} y1={up(0)} y2={up(1)} />
            <text x={left(i)} y={12} class="name">
              {axis.title}
            </text>
            <text x={left(i)} y={up(1) - 4}>
              {axis.ends[1]}
            </text>
            <text x={left(i)} y={up(0) + 14}>
              {axis.ends[0]}
            </text>
          </g>
        ))}
      </svg>
    </figure>
  );
}

function Scatter({ rows, x, y, judged, picked, toggle }: DrawnProps & { x: RelationAxis; y: RelationAxis }) {
  const [low, high] = [58, SQUARE - 28];
  const at = (place: number) => low + place * (high - low);
  return (
    <svg class="scatter" viewBox={`0 0 ${SQUARE} ${SQUARE}`} role="img" aria-label={`${y.title} by ${x.title}`}>
      <line class="axis" x1={low} x2={high} y1={SQUARE - low} y2={SQUARE - low} />
      <line class="axis" x1={low} x2={low} y1={SQUARE - low} y2={SQUARE - high} />
      {rows.map(({ id, name }, run) => {
        const [across, up] = [x.places[run], y.places[run]];
        if (across == null || up == null) return null;
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: the rows of the table do the same by keys
          <circle
            key={id}
            class={`run${picked.includes(id) ? ' picked' : ''}`}
            cx={at(across)}
            cy={SQUARE - at(up)}
            r={picked.includes(id) ? 6 : 4}
            fill={colorAt(judged?.places[run] ?? null)}
            onClick={() => toggle(id)}
          >
            <title>{name}</title>
          </circle>
        );
      })}
      <text x={low} y={SQUARE - low + 14}>
        {x.ends[0]}
      </text>
      <text x={high} y={SQUARE - low + 14}>
        {x.ends[1]}
      </text>
      <text x={(low + high) / 2} y={SQUARE - 6} class="name">
        {x.title}
      </text>
      <text x={low - 6} y={SQUARE - high + 4} class="end">
        {y.ends[1]}
      </text>
      <text x={(low + high) / 2} y={12} class="name">
        {y.title}
      </text>
      <text x={low - 6} y={SQUARE - low + 4} class="end">
        {y.ends[0]}
      </text>
    </svg>
  );
}

/** Returns the colour of a place on the judging axis; runs without a value are grey. */
function colorAt(place: number | null): string {
  return place === null ? '#808080' : `hsl(${Math.round(220 - place * 220)} 70% 55%)`;
}
