import type { Context, ScheduleSpec, Training } from './training.ts';

/** Makes the learning rate a pure function of the optimizer step (0, 1, …), so that no state of it has to be saved. */
export function makeSchedule(training: Training, context: Context, base: number): (step: number) => number {
  const { schedule } = training;
  if (typeof schedule === 'function') return (step) => schedule(step, context);
  return factorOf(schedule ?? { name: 'constant' }, context, base);
}

function factorOf(spec: ScheduleSpec, context: Context, base: number): (step: number) => number {
  switch (spec.name) {
    case 'constant':
      return () => base;
    case 'step':
      return (step) => base * (spec.gamma ?? 0.1) ** Math.floor(step / spec.every);
    case 'cosine': {
      const warmup = spec.warmup ?? 0;
      const floor = spec.floor ?? 0;
      return (step) => {
        if (step < warmup) return (base * (step + 1)) / warmup;
        const length = Math.max(1, (spec.steps ?? context.totalSteps) - warmup);
        const progress = Math.min(1, (step - warmup) / length);
        return base * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
      };
    }
  }
}
