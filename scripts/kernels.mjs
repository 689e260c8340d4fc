// Makes the WebAssembly kernels of their text, as modules that tests and bundles import alike; `--check` only compares.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import wabt from 'wabt';

const folder = join(import.meta.dirname, '../daemon/content');
const { parseWat } = await wabt();
const source = join(folder, 'difference.wat');
const target = join(folder, 'difference-kernel.ts');

const module = parseWat(source, readFileSync(source, 'utf8'), { simd: true });
module.validate();
const lines = Buffer.from(module.toBinary({}).buffer)
  .toString('base64')
  .match(/.{1,100}/g);
const text = [
  '/** WebAssembly of difference.wat, made by `npm run kernels`. */',
  'export const DIFFERENCE_KERNEL = [',
  ...lines.map((line) => `  '${line}',`),
  "].join('');",
  '',
].join('\n');
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
  console.error('difference-kernel.ts is not made of difference.wat: `npm run kernels` makes it.');
  process.exit(1);
}
