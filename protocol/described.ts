import * as v from 'valibot';

/** Gives a key of `trainstash.json` the text that editors show for it. */
export function described<const S extends v.GenericSchema>(text: string, schema: S) {
  return v.pipe(schema, v.description(text));
}
