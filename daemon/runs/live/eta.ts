/**
 * Estimates the seconds until the end from this session's own pace: the pace before a resume says nothing about the
 * time after it.
 */
export interface Pace {
  startStep: number;
  startedAt: number;
}

const MIN_STEPS = 3;

export function etaSeconds(pace: Pace, step: number, at: number, totalSteps: number | null): number | null {
  const steps = step - pace.startStep;
  if (totalSteps === null || steps < MIN_STEPS || at <= pace.startedAt) return null;
  const secondsPerStep = (at - pace.startedAt) / 1000 / steps;
  return Math.max(0, Math.round((totalSteps - step) * secondsPerStep));
}
