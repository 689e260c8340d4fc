/** Doubles of every kind, by their bits. */
import { Random } from '../../trainer/random.ts';

const view = new DataView(new ArrayBuffer(8));

export function ofBits(bits: string): number {
  view.setBigUint64(0, BigInt(`0x${bits}`));
  return view.getFloat64(0);
}

/** Returns a double's bits; the same for every NaN. */
export function bitsOf(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, '0');
}

/** Yields zeros, subnormals, the largest, infinities and NaN as often as others, with integers above 2^53; the same each time. */
export function* doubles(count: number): Generator<number> {
  const random = Random.seeded(2024, 6);
  const word = () => Math.floor(random.float() * 2 ** 32);
  const edges = [0, 1, 0x3ff, 0x434, 0x7fe, 0x7ff];
  for (let i = 0; i < count; i++) {
    const exponent = i % 3 === 0 ? edges[(i / 3) % edges.length]! : word() & 0x7ff;
    const rest = i % 5 === 0 ? 0 : word() & 0xfffff;
    view.setUint32(0, (((word() & 1) << 31) | (exponent << 20) | rest) >>> 0);
    view.setUint32(4, i % 5 === 0 ? 0 : word());
    yield view.getFloat64(0);
  }
}
