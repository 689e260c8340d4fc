/** Runs one target on mutated inputs and keeps those that reach new code as seeds for further ones. */
import { Random } from '../../trainer/random.ts';
import { Coverage } from './coverage.ts';
import { below, mutate, pick } from './mutate.ts';
import type { FuzzTarget } from './target.ts';

export interface FuzzOptions {
  seed: number;
  /** Tells whether to continue; asked before each input. */
  goesOn(executions: number): boolean;
  /** Receives each input before it runs, so that it survives a death of this process. */
  before?(input: Uint8Array): void;
  guided?: boolean;
}

export interface FuzzResult {
  executions: number;
  /** Number of code blocks reached; null if the target is not guided. */
  blocks: number | null;
  corpus: number;
  slowestMs: number;
}

export class Finding extends Error {
  readonly input: Uint8Array;

  constructor(target: FuzzTarget, input: Uint8Array, problem: string, cause?: unknown) {
    super(`${target.name}: ${problem}`, { cause });
    this.input = input;
  }
}

/** Number of inputs between two checks of the coverage, which cost as much as several inputs. */
const BATCH = 16;
const MAX_CORPUS = 4_000;

/** Fuzzes a target. Throws a Finding at the first input that the target does not survive. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const random = Random.seeded(options.seed);
  const words = target.words.map(
    (word) => new Uint8Array(typeof word === 'string' ? Buffer.from(word, 'latin1') : word),
  );
  const corpus = [...(await target.seeds())];
  const coverage = target.guided && options.guided !== false ? new Coverage() : null;
  const result: FuzzResult = { executions: 0, blocks: null, corpus: 0, slowestMs: 0 };
  const execute = async (input: Uint8Array) => {
    options.before?.(input);
    const elapsed = clock(target);
    try {
      const pending = target.run(input);
      if (pending) await pending;
    } catch (error) {
      throw new Finding(target, input, (error as Error)?.stack ?? String(error), error);
    }
    const took = elapsed();
    result.executions++;
    result.slowestMs = Math.max(result.slowestMs, took);
    if (took > target.hangMs) throw new Finding(target, input, `took ${Math.round(took)} ms`);
  };
  try {
    for (const input of corpus) await execute(input);
    if (coverage && !coverage.grew()) throw new Error(`${target.name}: the seeds reach nothing that is counted`);
    while (options.goesOn(result.executions)) {
      const batch = Array.from({ length: coverage ? BATCH : 1 }, () =>
        mutate(newest(random, corpus), random, { corpus, words }, target.maxBytes),
      );
      for (const input of batch) await execute(input);
      if (!coverage?.grew()) continue;
      for (const input of batch) {
        if (corpus.length >= MAX_CORPUS) corpus.splice(below(random, corpus.length), 1);
        corpus.push(input);
      }
    }
  } finally {
    result.blocks = coverage?.size ?? null;
    result.corpus = corpus.length;
    coverage?.close();
    await target.close?.();
  }
  return result;
}

/** Measures processor time where the work is done in this process: a busy machine is no hang. */
function clock({ guided }: FuzzTarget): () => number {
  if (!guided) {
    const start = performance.now();
    return () => performance.now() - start;
  }
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
}

/** Picks a recent input as often as an older one. */
function newest(random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  const fresh = random.float() < 0.5 ? corpus.slice(-32) : corpus;
  return pick(random, fresh) ?? new Uint8Array(0);
}
