import type { Params, ParamValue } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { nearest } from '../protocol/nearest.ts';
import { fromWireNumber, isWireNumber, toWireNumber } from '../protocol/numbers.ts';

/** Merges values into the module's defaults. Refuses unknown names and values of another type. */
export function mergeParams(defaults: Record<string, unknown>, values: Params): Params {
  const merged: Params = structuredClone(defaults) as Params;
  for (const [name, wire] of Object.entries(values)) {
    const known = Object.keys(defaults);
    if (!known.includes(name)) {
      const suggestion = nearest(name, known);
      throw new TrainstashError(
        'paramUnknown',
        `The training has no param "${name}"${suggestion ? `; did you mean "${suggestion}"?` : ''} It has: ${known.join(', ') || 'none'}. No training was started.`,
        { param: name, known, suggestion },
      );
    }
    const value = fromWire(defaults[name], wire);
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

/** Turns numbers that JSON lacks into texts. */
export function wireParams(params: Params): Params {
  return toWire(params) as Params;
}

function toWire(value: ParamValue): ParamValue {
  if (typeof value === 'number') return Number.isFinite(value) ? value : toWireNumber(value);
  if (Array.isArray(value)) return value.map(toWire);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, toWire(one)]));
}

/** Reads a text as a number where the default is a number. */
function fromWire(example: unknown, value: ParamValue): ParamValue {
  if (typeof example === 'number' && isWireNumber(value) && value !== null) return fromWireNumber(value);
  if (Array.isArray(value)) return value.map((one, i) => fromWire(Array.isArray(example) ? example[i] : null, one));
  if (typeof value !== 'object' || value === null) return value;
  const examples = (example ?? {}) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fromWire(examples[name], one)]));
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'list' : typeof value;
}
