/** The elements of tensors as numbers, and what is said about them. */
import { expect, test } from 'vitest';
import { toNumbers } from '../../../formats/floats.ts';
import type { Packed, PlacedTensor } from '../../../formats/inspection.ts';
import { statisticsOf } from '../../../formats/statistics.ts';
import { rowsOf } from '../../../formats/strides.ts';
import { Random } from '../../../trainer/random.ts';
import { readOf } from '../../support/looked-into.ts';

test('statistics end where reading the numbers takes longer than they may, and say so', async () => {
  let pieces = 0;
  const endless: Packed = {
    bytes: 2 ** 50,
    *pieces() {
      for (; ; pieces++) yield new Uint8Array(4_096);
    },
  };
  const facts = { name: 'w', dtype: 'F32', bytes: endless.bytes, tiedTo: null, stride: null, remark: null };
  const packed: PlacedTensor = { ...facts, shape: [2 ** 48], place: endless };
  const why = 'reading its numbers takes too long for a file of this size';
  expect(await statisticsOf(packed, readOf(Buffer.alloc(0)), performance.now() + 20)).toEqual({ why });
  expect(pieces).toBeGreaterThan(0);
  // A view with more elements than its few bytes: the rows lie over each other.
  const view: PlacedTensor = {
    ...facts,
    shape: [2 ** 16, 2 ** 15],
    stride: [1, 1],
    place: { offset: 0, bytes: 2 ** 19 },
  };
  expect(await statisticsOf(view, readOf(Buffer.alloc(2 ** 19)), performance.now() + 20)).toEqual({ why });
});

test('numbers of eight and four bits are those of their definitions', () => {
  const value = (dtype: string, bits: number) => toNumbers(dtype, Uint8Array.of(bits))![0];
  // Largest, smallest above zero, 1, and what is no number. Source: OCP 8-bit floating point specification; ONNX for FNUZ.
  const table: [string, [bits: number, value: number][]][] = [
    [
      'F8_E4M3',
      [
        [0x7e, 448],
        [0x01, 2 ** -9],
        [0x38, 1],
        [0xb8, -1],
        [0x7f, Number.NaN],
        [0xff, Number.NaN],
      ],
    ],
    [
      'F8_E5M2',
      [
        [0x7b, 57_344],
        [0x01, 2 ** -16],
        [0x3c, 1],
        [0x7c, Number.POSITIVE_INFINITY],
        [0xfd, Number.NaN],
      ],
    ],
    [
      'F8_E4M3FNUZ',
      [
        [0x7f, 240],
        [0x01, 2 ** -10],
        [0x40, 1],
        [0x80, Number.NaN],
      ],
    ],
    [
      'F8_E5M2FNUZ',
      [
        [0x7f, 57_344],
        [0x01, 2 ** -17],
        [0x40, 1],
        [0x80, Number.NaN],
      ],
    ],
    [
      'F8_E8M0',
      [
        [0xfe, 2 ** 127],
        [0x00, 2 ** -127],
        [0x7f, 1],
        [0xff, Number.NaN],
      ],
    ],
  ];
  for (const [dtype, values] of table)
    for (const [bits, expected] of values) expect([dtype, bits, value(dtype, bits)]).toEqual([dtype, bits, expected]);
  expect([...toNumbers('F4', Uint8Array.of(0x71, 0x9f))!]).toEqual([0.5, 6, -6, -0.5]);
});

test('elements come row by row from any strides', () => {
  const random = Random.seeded(5);
  const memory = Float32Array.from({ length: 400 }, (_, i) => i);
  const bytes = Buffer.from(memory.buffer);
  for (let round = 0; round < 200; round++) {
    const shape = Array.from({ length: Math.floor(random.float() * 4) }, () => Math.floor(random.float() * 5));
    const stride = shape.map(() => Math.floor(random.float() * 20));
    const expected: number[] = [];
    const walk = (at: number, d: number) => {
      if (d === shape.length) expected.push(memory[at]!);
      else for (let i = 0; i < shape[d]!; i++) walk(at + i * stride[d]!, d + 1);
    };
    walk(0, 0);
    const pieces = [...rowsOf(shape, stride, 4, readOf(bytes))].map((piece) => Buffer.from(piece));
    const found = Buffer.concat(pieces);
    expect([...new Float32Array(found.buffer, found.byteOffset, found.length / 4)]).toEqual(expected);
  }
});
