/** Params of a training: values of JSON under names that people choose. */
import * as v from 'valibot';
import { namedRecord } from './any-names.ts';
import type { Params, ParamValue } from './domain.ts';

/** Makes the schema of a value whose texts and names are `text`. */
export function paramValueOf(text: v.GenericSchema<string>): v.GenericSchema<unknown> {
  const value: v.GenericSchema<unknown> = v.lazy(() =>
    v.union([text, v.number(), v.boolean(), v.null(), v.array(value), namedRecord(text, value)]),
  );
  return value;
}

export const paramValue = paramValueOf(v.string());

/** Flattens nested params: `{ optimizer: { lr: 1 } }` becomes `optimizer.lr`. Lists stay whole; an empty object is a value. */
export function flattenParams(params: Params, before = ''): [string, ParamValue][] {
  return Object.entries(params).flatMap(([name, value]): [string, ParamValue][] =>
    isNested(value) && Object.keys(value).length > 0
      ? flattenParams(value, `${before}${name}.`)
      : [[`${before}${name}`, value]],
  );
}

export function isNested(value: ParamValue): value is Params {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
