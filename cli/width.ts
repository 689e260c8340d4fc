/** Counts terminal columns. What all lines consist of is counted here; the library is loaded for the rest, since that takes 70 ms. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

/** Latin letters, dashes, dots, arrows, lines, blocks and ticks: one column each. */
const NARROW = /^[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u25fc\u2713\u2714\u2717\u2718]*$/;

let measure: ((text: string) => number) | null = null;

/** Counts the columns that a text takes in a terminal, without its colours. */
export function columnsOf(text: string): number {
  const plain = stripVTControlCharacters(text);
  return NARROW.test(plain) ? plain.length : loaded()(plain);
}

function loaded(): (text: string) => number {
  if (measure) return measure;
  const bundle = new URL('./string-width.cjs', import.meta.url);
  const module = createRequire(import.meta.url)(existsSync(bundle) ? fileURLToPath(bundle) : 'string-width');
  measure = module.default as (text: string) => number;
  return measure;
}
