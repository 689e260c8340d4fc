/** Compares hyper-parameters. Pure. */
import type { ParamDiff } from '../../protocol/diff.ts';
import type { Params } from '../../protocol/domain.ts';
import { flattenParams } from '../../protocol/params.ts';

export interface ParamSide {
  params: Params;
  /** Names that the user has set. */
  overrides: readonly string[];
  /** Command of a run without a job: the user typed all its params. */
  command?: unknown;
}

/** Lists the params that differ, in the order of the first side. */
export function diffParams(sides: readonly ParamSide[]): ParamDiff[] {
  const flat = sides.map(({ params }) => new Map(flattenParams(params)));
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
