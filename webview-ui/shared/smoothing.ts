/** Computes the exponential moving average; NaN and infinity leave a gap and are not averaged. */
export function smoothed(ys: ArrayLike<number>, weight: number): number[] {
  const out = new Array<number>(ys.length);
  let [sum, norm] = [0, 0];
  for (let i = 0; i < ys.length; i++) {
    const y = ys[i]!;
    if (!Number.isFinite(y)) {
      out[i] = y;
      continue;
    }
    sum = sum * weight + y * (1 - weight);
    norm = norm * weight + (1 - weight);
    // Without the division the first values would be pulled towards 0.
    out[i] = sum / norm;
  }
  return out;
}
