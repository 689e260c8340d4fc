// Compiles the WebAssembly kernels from their text to modules that tests and bundles import; `--check` only compares.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import wabt from 'wabt';

const root = join(import.meta.dirname, '..');
const { parseWat } = await wabt();
const OWN_MEMORY = '(import "env" "memory" (memory 1))';
const SHARED_MEMORY = '(import "env" "memory" (memory 1 65536 shared))';

make('daemon/store/objects/checksum.wat', {
  CHECKSUM_KERNEL: (text) => text,
  CHECKSUM_KERNEL_SHARED: (text) => text.replace('(memory (export "memory") 2)', SHARED_MEMORY),
});
make('daemon/tensors/difference.wat', { DIFFERENCE_KERNEL: (text) => text });
make('trainer/kernels/math.wat', {
  MATH_KERNEL: (text) => text,
  MATH_KERNEL_SHARED: (text) => text.replace(OWN_MEMORY, SHARED_MEMORY),
});
make('trainer/kernels/recurrent.wat', {
  RECURRENT_KERNEL: (text) => text,
  RECURRENT_KERNEL_SHARED: (text) => text.replace(OWN_MEMORY, SHARED_MEMORY),
});

/** Writes `name-kernel.ts` from `name.wat`, with a constant for each variant of the text. */
function make(path, variants) {
  const source = join(root, path);
  const target = source.replace(/\.wat$/, '-kernel.ts');
  const text = readFileSync(source, 'utf8');
  const made = [
    `/** WebAssembly of ${basename(source)}, made by \`npm run kernels\`. */`,
    ...Object.entries(variants).flatMap(([name, variant]) => [
      `export const ${name} = [`,
      ...encoded(source, variant(text)).map((line) => `  '${line}',`),
      "].join('');",
    ]),
    '',
  ].join('\n');
  if (!process.argv.includes('--check')) writeFileSync(target, made);
  else if (!existsSync(target) || readFileSync(target, 'utf8') !== made) {
    console.error(`${basename(target)} is out of date with ${basename(source)}: run \`npm run kernels\`.`);
    process.exit(1);
  }
}

function encoded(name, text) {
  const features = { simd: true, threads: true };
  const module = parseWat(name, text, features);
  module.validate(features);
  return Buffer.from(module.toBinary({}).buffer)
    .toString('base64')
    .match(/.{1,100}/g);
}
