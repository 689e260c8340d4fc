/** Steps of a tensor's dimensions in memory, in elements. Null means row by row without gaps. Pure. */

/** Counts the elements from the first to the last one in memory. */
export function spanOf(shape: readonly number[], stride: readonly number[] | null): number {
  const count = countOf(shape);
  if (!stride || count === 0) return count;
  return shape.reduce((span, size, i) => span + (size - 1) * (stride[i] ?? 0), 1);
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

export function isRowMajor(shape: readonly number[], stride: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && stride[i] !== step) return false;
    step *= shape[i]!;
  }
  return true;
}

/** Tells whether the elements fill one contiguous range of memory, in any order. */
export function isDense(shape: readonly number[], stride: readonly number[] | null): boolean {
  if (!stride) return true;
  const order = shape.map((size, i) => ({ size, step: stride[i] ?? 0 })).filter(({ size }) => size !== 1);
  order.sort((a, b) => a.step - b.step);
  let step = 1;
  for (const dimension of order) {
    if (dimension.step !== step) return false;
    step *= dimension.size;
  }
  return true;
}

export function columnMajor(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let step = 1;
  for (const size of shape) {
    strides.push(step);
    step *= size;
  }
  return strides;
}

/** Removes dimensions that repeat an element, as `expand` makes them. */
export function withoutExpanded(
  shape: readonly number[],
  stride: readonly number[],
): { shape: number[]; stride: number[]; repeats: number } {
  const kept = shape.map((_, i) => i).filter((i) => stride[i] !== 0 || shape[i] === 1);
  return {
    shape: kept.map((i) => shape[i]!),
    stride: kept.map((i) => stride[i]!),
    repeats: shape.reduce((product, size, i) => (kept.includes(i) ? product : product * size), 1),
  };
}

/** Number of elements that are gathered together. */
const GATHER_ELEMENTS = 1 << 20;

/**
 * Yields elements row by row, wherever they are; `read` counts from the first of them, and `size` is that of one
 * element. A piece is valid until the next one.
 */
export function* rowsOf(
  shape: readonly number[],
  stride: readonly number[],
  size: number,
  read: (offset: number, length: number) => Uint8Array,
): Generator<Uint8Array> {
  // Adjacent elements are copied together.
  const last = shape.length - 1;
  const run = last >= 0 && stride[last] === 1 ? shape[last]! : 1;
  const outer = run === 1 ? shape : shape.slice(0, -1);
  const atOnce = Math.max(1, Math.floor(GATHER_ELEMENTS / Math.max(1, run)));
  let left = countOf(outer);
  let [out, filled] = [new Uint8Array(0), 0];
  for (const at of placesOf(outer, stride)) {
    if (run > GATHER_ELEMENTS) {
      for (let from = 0; from < run; from += GATHER_ELEMENTS)
        yield read((at + from) * size, Math.min(GATHER_ELEMENTS, run - from) * size);
      continue;
    }
    if (filled === 0) out = new Uint8Array(Math.min(left, atOnce) * run * size);
    out.set(read(at * size, run * size), filled);
    filled += run * size;
    left--;
    if (filled < out.length) continue;
    filled = 0;
    yield out;
  }
}

function* placesOf(shape: readonly number[], stride: readonly number[]): Generator<number> {
  if (countOf(shape) === 0) return;
  const index = new Array<number>(shape.length).fill(0);
  for (let at = 0; ; ) {
    yield at;
    let d = shape.length - 1;
    for (; d >= 0; d--) {
      at += stride[d]!;
      if (++index[d]! < shape[d]!) break;
      at -= stride[d]! * shape[d]!;
      index[d] = 0;
    }
    if (d < 0) return;
  }
}
