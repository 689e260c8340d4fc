import type { Params, ParamValue } from '../../protocol/domain.ts';

const MAX_PARTS = 3;

/** Describes the difference from the previous run for people: `lr 3e-4, units 64`. Empty if there is none. */
export function labelOf(params: Params, previous: Params | undefined): string {
  if (!previous) return '';
  const names = Object.keys(params).filter((name) => JSON.stringify(params[name]) !== JSON.stringify(previous[name]));
  const parts = names.slice(0, MAX_PARTS).map((name) => `${name} ${shortValue(params[name]!)}`);
  if (names.length > MAX_PARTS) parts.push(`+${names.length - MAX_PARTS}`);
  return parts.join(', ');
}

export function shortValue(value: ParamValue): string {
  if (typeof value === 'number') {
    const plain = String(value);
    const scientific = value.toExponential().replace('e+', 'e');
    return plain.length <= 6 ? plain : scientific.length < plain.length ? scientific : plain;
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}
