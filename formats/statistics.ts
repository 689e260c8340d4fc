/** Computes statistics of a tensor of any size in one pass over its pieces. */
import type { TensorStatistics } from '../protocol/domain.ts';
import { elementBytes, noStatisticsOf } from './dtypes.ts';
import { type Numbers, toNumbers } from './floats.ts';
import { FormatError } from './format-error.ts';
import type { PlacedTensor } from './inspection.ts';
import { piecesOf } from './packed.ts';
import { countOf, isDense, rowsOf, withoutExpanded } from './strides.ts';
import type { Read } from './window.ts';

export type Statistics = { statistics: TensorStatistics } | { why: string };

/** Number above which a square, or a sum of many, would exceed the range of doubles. */
const LARGE = 1e150;
const SMALLER = 2 ** -600;
/** Limit of gathered elements: a view can have more than any memory. */
const MAX_GATHERED = 2 ** 33;

/**
 * Reads the tensor once. Stops at `deadline`, by `performance.now()`: a small file can unpack to more than anybody
 * would wait for.
 */
export async function statisticsOf(
  tensor: PlacedTensor,
  read: Read,
  deadline = Number.POSITIVE_INFINITY,
): Promise<Statistics> {
  const { dtype, shape, stride, place } = tensor;
  const why = noStatisticsOf(dtype);
  if (why !== null) return { why };
  if (place === null) return { why: tensor.remark ?? 'its elements cannot be read' };
  if (countOf(shape) === 0) return { why: 'it has no elements' };
  if ('pieces' in place) return summed(dtype, place.pieces(), 1, deadline);
  if (stride === null || isDense(shape, stride))
    return summed(dtype, piecesOf(read, place.offset, place.bytes), 1, deadline);
  const view = withoutExpanded(shape, stride);
  if (countOf(view.shape) > MAX_GATHERED) return { why: 'the view has more elements than any memory' };
  const from = (offset: number, length: number) => read(place.offset + offset, length);
  return summed(dtype, rowsOf(view.shape, view.stride, elementBytes(dtype)!, from), view.repeats, deadline);
}

async function summed(
  dtype: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  repeats: number,
  deadline: number,
): Promise<Statistics> {
  const summary = new Summary();
  const size = elementBytes(dtype) ?? 1;
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    if (performance.now() > deadline) return { why: 'reading its numbers takes too long for a file of this size' };
    const all = rest.length > 0 ? Uint8Array.from(Buffer.concat([rest, piece])) : piece;
    const whole = all.length - (all.length % size);
    rest = all.slice(whole);
    // An element of F4X2 is two numbers, as F4 packs them.
    const numbers = toNumbers(dtype === 'F4X2' ? 'F4' : dtype, all.subarray(0, whole));
    if (numbers === null) throw new FormatError(`numbers of the type ${dtype} cannot be read`);
    summary.add(numbers);
  }
  return { statistics: summary.statistics(repeats) };
}

class Summary {
  #count = 0;
  #mean = 0;
  #squares = 0;
  #scale = 1;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #zeros = 0;
  #nan = 0;
  #infinite = 0;

  add(numbers: Numbers): void {
    for (let i = 0; i < numbers.length; i++) {
      const value = numbers[i]!;
      if (Number.isFinite(value)) this.#take(value);
      else if (Number.isNaN(value)) this.#nan++;
      else this.#infinite++;
    }
  }

  #take(value: number): void {
    if (this.#scale === 1 && Math.abs(value) > LARGE) {
      this.#scale = SMALLER;
      this.#mean *= SMALLER;
      this.#squares = this.#squares * SMALLER * SMALLER;
    }
    this.#count++;
    // Welford's algorithm: sums of squares of large numbers would lose the small differences.
    const scaled = value * this.#scale;
    const difference = scaled - this.#mean;
    this.#mean += difference / this.#count;
    this.#squares += difference * (scaled - this.#mean);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    if (value === 0) this.#zeros++;
  }

  /** Returns the statistics; `repeats` is the number of elements that each one stands for. */
  statistics(repeats: number): TensorStatistics {
    const isEmpty = this.#count === 0;
    return {
      min: isEmpty ? 0 : this.#min,
      max: isEmpty ? 0 : this.#max,
      mean: this.#mean / this.#scale,
      std: isEmpty ? 0 : Math.sqrt(this.#squares / this.#count) / this.#scale,
      zeros: this.#zeros * repeats,
      nan: this.#nan * repeats,
      infinite: this.#infinite * repeats,
    };
  }
}
