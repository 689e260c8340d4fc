/** Finds the differences between now and the time when a checkpoint was made. */
import type { Params, Run } from '../../../protocol/domain.ts';
import { type PreflightDifference, TrainstashError } from '../../../protocol/errors.ts';
import { nearest } from '../../../protocol/nearest.ts';
import { COMPARED_PACKAGES } from '../../../protocol/packages.ts';
import { maskParams } from '../../../protocol/secrets.ts';
import { shortValue } from '../naming.ts';

export interface PreflightFacts {
  run: Run;
  /** Code at the checkpoint and now; null: not kept. */
  code: { before: string | null; now: string | null; changed: string[] };
  environment: { before: Record<string, string>; now: Record<string, string> };
  /** Params that the job would start with today, and those of the run. */
  jobParams: Params;
  params: Params;
}

const ENVIRONMENT_KINDS: Record<string, PreflightDifference['kind']> = {
  framework: 'package',
  ...Object.fromEntries(COMPARED_PACKAGES.map((name) => [name, 'package' as const])),
  library: 'package',
  cuda: 'package',
  cudnn: 'package',
  flags: 'runtime',
  node: 'runtime',
  python: 'runtime',
  backend: 'backend',
  driver: 'device',
  device: 'device',
  platform: 'device',
  threads: 'threads',
};

export function preflight(facts: PreflightFacts): PreflightDifference[] {
  const differences: PreflightDifference[] = [];
  const { code, environment } = facts;
  if (code.before !== code.now) {
    if (code.before === null || code.now === null) {
      differences.push({
        kind: 'code',
        name: '',
        checkpoint: code.before ? 'kept' : 'not kept',
        current: code.now ? 'kept' : 'not kept',
      });
    }
    for (const name of code.changed)
      differences.push({ kind: 'code', name, checkpoint: 'as it was', current: 'changed' });
  }
  for (const [name, kind] of Object.entries(ENVIRONMENT_KINDS)) {
    const then = environment.before[name];
    const now = environment.now[name];
    if (then !== undefined && now !== undefined && then !== now)
      differences.push({ kind, name: name === kind ? '' : name, checkpoint: then, current: now });
  }
  // Secrets are compared in their recorded form: masked.
  const shown = { params: maskParams(facts.params), before: maskParams(facts.run.params) };
  for (const [name, value] of Object.entries(maskParams(facts.jobParams))) {
    const kept = shown.params[name];
    if (kept === undefined || facts.run.overrides.includes(name)) continue;
    // With --current and --set the user has already chosen.
    const chosen = JSON.stringify(shown.before[name]) !== JSON.stringify(kept);
    if (!chosen && JSON.stringify(kept) !== JSON.stringify(value))
      differences.push({ kind: 'param', name, checkpoint: shortValue(kept), current: shortValue(value) });
  }
  return differences;
}

/** Combines the checkpoint's params with today's values from the job (`current`) and new ones (`set`). */
export function chooseParams(
  run: Run,
  job: Params,
  current: readonly string[],
  set: Params,
  /** True for a command, which does not declare its params. */
  anyName = false,
): Params {
  const known = Object.keys(run.params);
  for (const name of [...current, ...Object.keys(set)]) {
    if (anyName || known.includes(name)) continue;
    const suggestion = nearest(name, known);
    throw new TrainstashError(
      'paramUnknown',
      `${run.name} has no param "${name}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} It has: ${known.join(', ')}. Nothing was started.`,
      { param: name, known, suggestion },
    );
  }
  const fromJob = Object.fromEntries(current.filter((name) => name in job).map((name) => [name, job[name]!]));
  return { ...run.params, ...fromJob, ...set };
}

export function describeDifferences(differences: readonly PreflightDifference[]): string {
  return differences
    .map(({ kind, name, checkpoint, current }) => `${kind}${name ? ` ${name}` : ''}: ${checkpoint} → ${current}`)
    .join('; ');
}
