/** Numbers about numbers: one pass over a tensor of any size. Pure. */
import type { TensorStatistics } from '../../protocol/domain.ts';
import { toNumbers } from './floats.ts';

/** Null when there are no elements, or they have no order or mean. Pieces of whole elements. */
export function statisticsOf(dtype: string, pieces: Iterable<Uint8Array>): TensorStatistics | null {
  let count = 0;
  let mean = 0;
  let squares = 0;
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let [zeros, nan, infinite] = [0, 0, 0];
  const take = (value: number) => {
    if (Number.isFinite(value)) {
      count++;
      // Welford's way: sums of squares of large numbers would lose the small differences.
      const difference = value - mean;
      mean += difference / count;
      squares += difference * (value - mean);
      if (value < min) min = value;
      if (value > max) max = value;
      if (value === 0) zeros++;
    } else if (Number.isNaN(value)) nan++;
    else infinite++;
  };
  for (const piece of pieces) {
    const numbers = toNumbers(dtype, piece);
    if (numbers === null) return null;
    for (let i = 0; i < numbers.length; i++) take(numbers[i]!);
  }
  if (count === 0) return nan + infinite === 0 ? null : { min: 0, max: 0, mean: 0, std: 0, zeros, nan, infinite };
  return { min, max, mean, std: Math.sqrt(squares / count), zeros, nan, infinite };
}
