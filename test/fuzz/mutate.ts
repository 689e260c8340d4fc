/** Mutates an input a little, as libFuzzer does: bits, bytes, blocks, boundary numbers, words of the format, splices. */
import type { Random } from '../../trainer/random.ts';

const EDGE_BYTES = [0, 1, 0x7f, 0x80, 0xff];
const EDGE_NUMBERS = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x7fffffffffffffffn,
  0xffffffffffffffffn,
];
const MAX_CHANGES = 6;

type Change = (input: Uint8Array, random: Random, context: Context) => Uint8Array;

interface Context {
  corpus: readonly Uint8Array[];
  words: readonly Uint8Array[];
}

export function mutate(input: Uint8Array, random: Random, context: Context, maxBytes: number): Uint8Array {
  let output: Uint8Array = input.slice();
  const changes = 1 + below(random, MAX_CHANGES);
  for (let done = 0; done < changes; done++) output = pick(random, CHANGES)(output, random, context);
  return output.subarray(0, maxBytes);
}

export function below(random: Random, limit: number): number {
  return Math.floor(random.float() * limit);
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)]!;
}

const flipBit: Change = (input, random) => {
  if (input.length > 0) input[below(random, input.length)]! ^= 1 << below(random, 8);
  return input;
};

const setByte: Change = (input, random) => {
  if (input.length > 0)
    input[below(random, input.length)] = random.float() < 0.5 ? pick(random, EDGE_BYTES) : below(random, 256);
  return input;
};

const setNumber: Change = (input, random) => {
  const bytes = pick(random, [2, 4, 8]);
  if (input.length < bytes) return input;
  const at = below(random, input.length - bytes + 1);
  const value = pick(random, EDGE_NUMBERS) + BigInt(below(random, 3) - 1);
  const bigEndian = random.float() < 0.3;
  for (let i = 0; i < bytes; i++)
    input[at + (bigEndian ? bytes - 1 - i : i)] = Number(BigInt.asUintN(64, value >> BigInt(8 * i)) & 0xffn);
  return input;
};

const remove: Change = (input, random) => {
  if (input.length < 2) return input;
  const at = below(random, input.length);
  const length = 1 + below(random, Math.min(64, input.length - at));
  return joined(input.subarray(0, at), input.subarray(at + length));
};

const cut: Change = (input, random) => input.subarray(0, below(random, input.length + 1));

const insertWord: Change = (input, random, { words }) => {
  if (words.length === 0) return input;
  const word = pick(random, words);
  const at = below(random, input.length + 1);
  const over = random.float() < 0.5 ? word.length : 0;
  return joined(input.subarray(0, at), word, input.subarray(Math.min(input.length, at + over)));
};

const repeat: Change = (input, random) => {
  if (input.length === 0) return input;
  const at = below(random, input.length);
  const block = input.subarray(at, at + 1 + below(random, 32));
  const times = 1 + below(random, random.float() < 0.1 ? 2_000 : 8);
  return joined(input.subarray(0, at), ...Array.from({ length: times }, () => block), input.subarray(at));
};

const splice: Change = (input, random, { corpus }) => {
  const other = pick(random, corpus);
  if (!other) return input;
  const from = below(random, other.length + 1);
  const block = other.subarray(from, from + below(random, 256));
  const at = below(random, input.length + 1);
  return joined(input.subarray(0, at), block, input.subarray(random.float() < 0.5 ? at : at + block.length));
};

const CHANGES: readonly Change[] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  setNumber,
  setNumber,
  remove,
  cut,
  insertWord,
  insertWord,
  repeat,
  splice,
];

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
