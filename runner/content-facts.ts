/** Finds when a checkpoint was made, from the contents of its files. Pure. */

/** Facts that the contents state; null: not stated. */
export interface ContentFacts {
  step: number | null;
  epoch: number | null;
  /** The length of the whole training. */
  totalSteps: number | null;
  /** The values logged up to this checkpoint, sorted by step. */
  history: LoggedStep[];
}

export interface LoggedStep {
  step: number;
  epoch: number | null;
  values: Record<string, number>;
}

export interface Value {
  name: string;
  value: unknown;
}

export const NO_FACTS: ContentFacts = { step: null, epoch: null, totalSteps: null, history: [] };

/** Top-level keys that state a checkpoint's step; the first one present counts. */
const STEP_KEYS = ['global_step', 'meta.iter', 'step', 'iteration', 'iter', 'iter_num'];
const EPOCH_KEYS = ['epoch', 'meta.epoch'];
const MOMENT_KEYS = new Set([...STEP_KEYS, ...EPOCH_KEYS]);

/** Keeps the values that can state when a checkpoint was made. */
export function momentValues(values: readonly Value[]): Value[] {
  return values.filter(({ name }) => MOMENT_KEYS.has(name));
}

/** Reads the facts of a checkpoint from the values of all its files. */
export function factsOfValues(values: readonly Value[]): ContentFacts {
  const first = (keys: readonly string[]) => {
    const found = keys.map((key) => countOf(values.find(({ name }) => name === key)?.value));
    return found.find((count) => count !== null) ?? null;
  };
  return { step: first(STEP_KEYS), epoch: first(EPOCH_KEYS), totalSteps: null, history: [] };
}

/**
 * Reads the facts from the `trainer_state.json` of Hugging Face's Trainer, which cover all files beside it; null: it
 * states none.
 */
export function factsOfTrainerState(state: unknown): ContentFacts | null {
  const trainer = state as Record<string, unknown> | null;
  if (typeof trainer?.global_step !== 'number') return null;
  return {
    step: countOf(trainer.global_step),
    epoch: countOf(trainer.epoch),
    totalSteps: countOf(trainer.max_steps) || null,
    history: historyOf(trainer.log_history),
  };
}

/** The limit of log entries read; of a longer log only the newest count. */
const MAX_LOGGED = 5_000;
/** Logged names that do not measure training. */
const NO_METRIC = /^(step|epoch)$|(_runtime|_per_second|_flos)$/;

function historyOf(logged: unknown): LoggedStep[] {
  if (!Array.isArray(logged)) return [];
  const steps: LoggedStep[] = [];
  for (const entry of logged.slice(-MAX_LOGGED) as (Record<string, unknown> | null)[]) {
    const step = countOf(entry?.step);
    if (step === null || entry === null) continue;
    const numbers = Object.entries(entry).filter(
      (named): named is [string, number] => !NO_METRIC.test(named[0]) && typeof named[1] === 'number',
    );
    if (numbers.length > 0) steps.push({ step, epoch: countOf(entry.epoch), values: Object.fromEntries(numbers) });
  }
  return steps.sort((a, b) => a.step - b.step);
}

/**
 * Parses a count. Trainers write −1 before they begin or after they have finished; the metadata of safetensors are
 * texts.
 */
function countOf(value: unknown): number | null {
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && count >= 0 && count < Number.MAX_SAFE_INTEGER ? Math.floor(count) : null;
}
