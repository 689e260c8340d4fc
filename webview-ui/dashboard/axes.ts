/** Places runs on axes of params and metrics, for the scatter plot and the parallel coordinates. Pure. */
import { fromWireNumber } from '../../protocol/numbers.ts';
import { metric } from '../../protocol/words.ts';
import type { RunRow } from '../contract.ts';
import { distinct } from '../shared/words.ts';

export interface RelationAxis {
  /** Key: `param:lr`, `metric:val_loss`. */
  key: string;
  title: string;
  /** Texts at the lower and at the upper end. */
  ends: [string, string];
  /** Positions of the runs from 0 to 1, in their order; null: the run has no value. */
  places: (number | null)[];
}

/** Most axes that fit beside each other. */
export const MOST_AXES = 8;

/** Makes the axis of a param or a metric. A param of texts has its values at even distances; null: no run has a value. */
export function axisOf(rows: readonly RunRow[], key: string): RelationAxis | null {
  const values = rows.map((row) => fieldOf(row, key));
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  const title = titleOf(key, rows);
  if (known.every((value) => typeof value === 'number')) return numeric(key, title, values as (number | null)[]);
  const texts = [...new Set(known.map(distinct))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const places = values.map((value) =>
    value === null ? null : placeAt(texts.indexOf(distinct(value)), texts.length - 1),
  );
  return { key, title, ends: [texts[0]!, texts.at(-1)!], places };
}

/** Lists keys of axes that tell something: params that differ, then the metrics, those with a best value first. */
export function axisKeys(rows: readonly RunRow[]): string[] {
  const params = [...new Set(rows.flatMap(({ params: own }) => Object.keys(own)))].filter(
    (name) => new Set(rows.map(({ params: own }) => JSON.stringify(own[name]))).size > 1,
  );
  const metrics = [...new Set(rows.flatMap(({ metrics: own }) => Object.keys(own)))];
  const rank = (name: string) => (rows.some(({ metrics: own }) => own[name]?.best?.word === 'best') ? 0 : 1);
  metrics.sort((a, b) => rank(a) - rank(b));
  return [...params.map((name) => `param:${name}`), ...metrics.map((name) => `metric:${name}`)];
}

function fieldOf(row: RunRow, key: string): number | string | boolean | null {
  const name = key.slice(key.indexOf(':') + 1);
  if (key.startsWith('param:')) {
    const value = Object.hasOwn(row.params, name) ? row.params[name] : null;
    return value ?? null;
  }
  const own = row.metrics[name];
  if (!own) return null;
  const value = own.best?.value ?? fromWireNumber(own.last);
  return Number.isFinite(value) ? value : null;
}

function titleOf(key: string, rows: readonly RunRow[]): string {
  const name = key.slice(key.indexOf(':') + 1);
  if (key.startsWith('param:')) return name;
  const words = new Set(rows.flatMap(({ metrics }) => (metrics[name] ? [metrics[name].best?.word ?? 'last'] : [])));
  return `${name} (${[...words].sort().join(' or ')})`;
}

/** Positive values that span more than two powers of ten are placed by their logarithms. */
function numeric(key: string, title: string, values: readonly (number | null)[]): RelationAxis {
  const known = values.filter((value) => value !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const scale = least > 0 && most / least > 100 ? Math.log : (value: number) => value;
  const range = scale(most) - scale(least);
  const places = values.map((value) => (value === null ? null : placeAt(scale(value) - scale(least), range)));
  return { key, title, ends: [metric(least), metric(most)], places };
}

function placeAt(value: number, range: number): number {
  return range > 0 ? value / range : 0.5;
}
