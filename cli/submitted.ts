/** Answers about runs that were sent to an engine, and about several that were started at once. */
import type { Run } from '../protocol/domain.ts';
import { type Context, hint } from './context.ts';
import { paint, safe } from './format.ts';

export function afterSubmitting(context: Context, run: Run): number {
  const warnings = run.notices.filter(({ level }) => level === 'warning');
  context.answer(run, [
    `Submitted ${safe(run.name)} to ${safe(run.engine!.name)}, as job ${safe(run.engine!.job)}.`,
    `  \`trainstash log ${hint(run)} -f\` follows it, \`trainstash pause ${hint(run)}\` pauses it or takes it back.`,
    ...warnings.map(({ text }) => `${paint('yellow', '!')} ${safe(text)}`),
  ]);
  return 0;
}

export function afterArray(context: Context, runs: readonly Run[]): number {
  const first = runs[0]!;
  context.answer(runs, [
    ...runs.map((run) => `${run.engine ? 'Submitted' : 'Started'} ${safe(run.name)} (${safe(paramText(run))}).`),
    `  \`trainstash log ${hint(first)} -f\` follows the first one; \`trainstash ls\` shows all.`,
  ]);
  return 0;
}

function paramText({ params, overrides }: Run): string {
  return overrides.map((name) => `${name}=${String(params[name])}`).join(', ');
}
