import type { Params } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { nearest } from '../../protocol/nearest.ts';

/** The module's defaults with the given values in place. Unknown names and values of another type are refused. */
export function mergeParams(defaults: Record<string, unknown>, given: Params): Params {
  const merged: Params = structuredClone(defaults) as Params;
  for (const [name, value] of Object.entries(given)) {
    const known = Object.keys(defaults);
    if (!known.includes(name)) {
      const suggestion = nearest(name, known);
      throw new TrainstashError(
        'paramUnknown',
        `The training has no param "${name}"${suggestion ? `; did you mean "${suggestion}"?` : ''} It has: ${known.join(', ') || 'none'}. No training was started.`,
        { param: name, known, suggestion },
      );
    }
    const expected = kindOf(defaults[name]);
    if (expected !== 'null' && kindOf(value) !== expected) {
      throw new TrainstashError(
        'paramInvalid',
        `The param "${name}" must be a ${expected}, not ${JSON.stringify(value)}. No training was started.`,
        { param: name, expected },
      );
    }
    merged[name] = value;
  }
  return merged;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'list' : typeof value;
}
