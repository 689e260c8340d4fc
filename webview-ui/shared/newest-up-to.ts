import type { MediaItem } from '../../protocol/media.ts';

/** Finds the last item whose step is not after `step`; items are in order of steps. */
export function newestUpTo(items: readonly MediaItem[], step: number): MediaItem | undefined {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle]!.step <= step) low = middle + 1;
    else high = middle;
  }
  return items[low - 1];
}
