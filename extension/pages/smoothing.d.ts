/** Exponential moving average; NaN and infinity leave a gap and are not taken in. */
export declare function smoothed(ys: ArrayLike<number>, weight: number): number[];
