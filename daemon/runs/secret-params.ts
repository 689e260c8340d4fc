/** The real values of params that records mask. They are in memory alone, as the environment is. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Params, ParamValue, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { isMasked } from '../../protocol/secrets.ts';

export class SecretParams {
  readonly #ofRuns = new Map<string, Params>();

  /** Remembers what a run is launched with; a mask among it does not replace what is known already. */
  remember(run: string, params: Params): void {
    const real = Object.entries(params).filter(([, value]) => !hasMask(value));
    this.#ofRuns.set(run, { ...this.#ofRuns.get(run), ...Object.fromEntries(real) });
  }

  /** Returns what is known of a run: nothing after the daemon that launched it has ended. */
  of(run: string): Params {
    return this.#ofRuns.get(run) ?? {};
  }
}

/**
 * The params with real values in place of masks: the job's own of today where nobody has given another, else those that
 * the run was launched with. What neither knows is left out.
 */
export function realParams(run: Pick<Run, 'id' | 'params' | 'overrides'>, job: JobConfig, known: Params): Params {
  const ofJob = Object.entries(job.params as Params).filter(([name]) => !run.overrides.includes(name));
  const real: Params = { ...known, ...Object.fromEntries(ofJob) };
  return Object.fromEntries(
    Object.entries(run.params).flatMap(([name, value]): [string, ParamValue][] => {
      if (!hasMask(value)) return [[name, value]];
      return name in real ? [[name, real[name]!]] : [];
    }),
  );
}

/** Returns the names of params that somebody has given, that are secrets, and that nobody knows any more. */
export function lostParams({ overrides, params }: Pick<Run, 'params' | 'overrides'>, known: Params): string[] {
  return overrides.filter((name) => hasMask(params[name]) && !(name in known));
}

/** Throws `commandNotKept` when a param that somebody has given is a secret and nobody knows it any more. */
export function requireKnown(run: Pick<Run, 'id' | 'name' | 'number' | 'params' | 'overrides'>, known: Params): void {
  const lost = lostParams(run, known);
  if (lost.length === 0) return;
  const options = lost.map((name) => `--set ${name}=…`).join(' ');
  throw new TrainstashError(
    'commandNotKept',
    `${run.name} was started with ${lost.join(' and ')}, which looks like a secret and was not kept. Nothing was started. Give it once more: \`trainstash resume ${run.number} ${options}\`.`,
    { run: run.id, masked: lost.length },
  );
}

/** Tells whether a value, or something in it, was not kept. */
export function hasMask(value: ParamValue | undefined): boolean {
  if (Array.isArray(value)) return value.some(hasMask);
  if (value !== null && typeof value === 'object') return Object.values(value).some(hasMask);
  return isMasked(value);
}
