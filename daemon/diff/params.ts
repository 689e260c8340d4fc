/** Compares hyper-parameters. Pure. */
import type { ParamDiff } from '../../protocol/diff.ts';
import type { Params, ParamValue } from '../../protocol/domain.ts';

export interface ParamSide {
  params: Params;
  /** Names that the user has set. */
  overrides: readonly string[];
  /** Command of a run without a job: the user typed all its params. */
  command?: unknown;
}

/** Lists the params that differ, in the order of the first side. */
export function diffParams(sides: readonly ParamSide[]): ParamDiff[] {
  const flat = sides.map(({ params }) => flatten(params, ''));
  const names = [...new Set(flat.flatMap((side) => [...side.keys()]))];
  return names.flatMap((name) => {
    const values = sides.map(({ overrides, command }, i) => {
      const value = flat[i]!.get(name);
      const given =
        command != null || overrides.some((override) => name === override || name.startsWith(`${override}.`));
      return value === undefined ? null : { value, isDefault: !given };
    });
    const texts = new Set(values.map((value) => (value ? JSON.stringify(value.value) : '')));
    return texts.size > 1 ? [{ name, values }] : [];
  });
}

/** Flattens nested params. Lists stay whole; an empty object is a value. */
function flatten(params: Params, before: string): Map<string, ParamValue> {
  const flat = new Map<string, ParamValue>();
  for (const [key, value] of Object.entries(params)) {
    const name = `${before}${key}`;
    const nested =
      value !== null && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length > 0;
    if (nested) for (const entry of flatten(value as Params, `${name}.`)) flat.set(...entry);
    else flat.set(name, value);
  }
  return flat;
}
