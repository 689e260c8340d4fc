/**
 * Tells the step that a session has come to: the highest of those that its metrics were told of last. A metric that goes back
 * while others stay is an evaluation of earlier checkpoints; where all go back, so has the session.
 */
export function reached(told: ReadonlyMap<string, number>, otherwise: number): number {
  return told.size === 0 ? otherwise : Math.max(...told.values());
}
