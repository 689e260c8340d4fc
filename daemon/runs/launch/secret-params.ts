/** Real values of params that records mask. They exist in memory only, as the environment does. */
import type { JobConfig } from '../../../protocol/config.ts';
import type { Params, ParamValue, Run } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { isMasked } from '../../../protocol/secrets.ts';

export class SecretParams {
  readonly #ofRuns = new Map<string, Params>();

  /** Remembers the params of a launch; a mask among them does not replace a known value. */
  remember(run: string, params: Params): void {
    const real = Object.entries(params).filter(([, value]) => !hasMask(value));
    this.#ofRuns.set(run, { ...this.#ofRuns.get(run), ...Object.fromEntries(real) });
  }

  /** Returns the known values of a run: none after the daemon that launched it has ended. */
  of(run: string): Params {
    return this.#ofRuns.get(run) ?? {};
  }
}

/**
 * Replaces masks in the params with real values: today's value from the job if the user has not given another, else
 * that of the launch. Leaves out params that neither knows.
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

/** Returns the names of secret params that the user has given and whose values are no longer known. */
export function lostParams({ overrides, params }: Pick<Run, 'params' | 'overrides'>, known: Params): string[] {
  return overrides.filter((name) => hasMask(params[name]) && !(name in known));
}

/** Throws `commandNotKept` when the value of a secret param that the user has given is no longer known. */
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

/** Tells whether a value, or a part of it, was masked. */
export function hasMask(value: ParamValue | undefined): boolean {
  if (Array.isArray(value)) return value.some(hasMask);
  if (value !== null && typeof value === 'object') return Object.values(value).some(hasMask);
  return isMasked(value);
}
