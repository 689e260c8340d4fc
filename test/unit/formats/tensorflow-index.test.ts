/** The index of a TensorFlow checkpoint: its variables by name. */
import { expect, test } from 'vitest';
import { openFile } from '../../../formats/inspect.ts';

/** Bytes that TensorFlow 2.21 wrote for a module with a kernel, a bias, a count and four numbers in half precision. */
const INDEX = Buffer.from(
  [
    'AAAGCAEaAggBABwOX0NIRUNLUE9JTlRBQkxFX09CSkVDVF9HUkFQSAgHEgAgNCj9AjVkvJ2zACURbW9kZWwvaGFsZi8uQVRUUklCVVRFUy9WQV',
    'JJQUJMRV9WQUxVRQgOEgQSAggEICwoCDUpA5gHBiETa2VybmVsLy5BVFRSSUJVVEVTL1ZBUklBQkxFX1ZBTFVFCAESCBICCAISAggDKBg1wNs9',
    'FwwgEV9iaWFzLy5BVFRSSUJVVEVTL1ZBUklBQkxFX1ZBTFVFCAESBBICCAMgGCgMNZlBPQ0GIA1zdGVwcy8uQVRUUklCVVRFUy9WQVJJQUJMRV',
    '9WQUxVRQgJEgAgJCgINbvXnxEAAAAAAQAAAADRMCZ3AAAAAAEAAAAAwPKhsAABA24AkgIAAAAAAQAAAADme5ohlwIIpAIPAAAAAAAAAAAAAAAA',
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAFf7gIskdUfb',
  ].join(''),
  'base64',
);

const look = async (bytes: Buffer) =>
  (await openFile((at, length) => bytes.subarray(at, at + length), bytes.length)).inspection;

test('lists the variables with their types and shapes, and says where their numbers are', async () => {
  const { format, tensors, values, elements, notes } = await look(INDEX);
  expect(format).toBe('tensorflow');
  expect(tensors.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
    ['model/half', 'BF16', [4]],
    ['model/kernel', 'F32', [2, 3]],
    ['model/kernel_bias', 'F32', [3]],
    ['model/steps', 'I64', []],
  ]);
  expect(elements).toBe(14);
  expect(values.map(({ name }) => name)).toEqual(['_CHECKPOINTABLE_OBJECT_GRAPH']);
  expect(tensors[0]).toMatchObject({ place: null, bytes: 8, remark: expect.stringContaining('.data file') });
  expect(notes[0]).toContain('.data files beside it');
});

test('a damaged one ends in a sentence, whichever byte it is', async () => {
  for (let at = 0; at < INDEX.length; at++) {
    const damaged = Buffer.from(INDEX);
    damaged[at] = damaged[at]! ^ 0xff;
    const ended = await look(damaged).catch((error: Error) => error);
    if (ended instanceof Error) expect(ended.constructor.name).toMatch(/FormatError|UnknownFormat/);
  }
});

test('one that breaks off is refused', async () => {
  for (const length of [0, 10, 47, 48, 200, INDEX.length - 1])
    await expect(look(INDEX.subarray(0, length))).rejects.toThrow();
});
