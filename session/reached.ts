/**
 * Computes the step that a session has reached: the highest of the last steps of its metrics. If one metric goes back
 * while others stay, earlier checkpoints are being evaluated; if all go back, so has the session.
 */
export function reachedStep(lastSteps: ReadonlyMap<string, number>, otherwise: number): number {
  return lastSteps.size === 0 ? otherwise : Math.max(...lastSteps.values());
}
