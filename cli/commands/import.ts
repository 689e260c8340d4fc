/** Imports the history of other tools. */
import { resolve } from 'node:path';
import type { ImportProblem } from '../../protocol/imports.ts';
import { type ImportPlan, type ImportReport, importPlan, importRun } from '../../protocol/messages/import.ts';
import { bytes, counted, integer } from '../../protocol/words.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { paint, safe, table, wrapped } from '../format.ts';
import { print, printError } from '../output.ts';
import { requestTask } from '../task.ts';
import { ask } from '../terminal.ts';

const LISTED = 20;
const PROBLEMS = 8;

export const importCommands: Record<string, Command> = {
  import: {
    summary: 'take in runs that other tools recorded: W&B, MLflow, Lightning …',
    usage: 'PATH… [--dry-run] [--metrics-only] [--job JOB] [--python PATH] [--yes]',
    options: {
      'dry-run': { type: 'boolean', short: 'n' },
      'metrics-only': { type: 'boolean' },
      job: { type: 'string' },
      python: { type: 'string' },
      yes: { type: 'boolean', short: 'y' },
    },
    words: [1, 100],
    run: importRuns,
  },
};

async function importRuns(context: Context): Promise<number> {
  const { args, root } = context;
  const client = await context.project('write');
  const paths = args.words.map((path) => resolve(path));
  const metricsOnly = args.flag('metrics-only');
  const python = args.text('python');
  const interpreter = python !== undefined && /[/\\]/.test(python) ? resolve(python) : python;
  const shell = { environment: context.environment(), ...(interpreter === undefined ? {} : { interpreter }) };
  const plan = await requestTask(client, importPlan, { root, paths, ...shell }, 'looking');
  const wanted = plan.counts.new + plan.counts.grown;
  if (args.flag('dry-run') || wanted === 0) {
    context.answer(plan, planLines(plan, context.width, metricsOnly));
    return 0;
  }
  if (!metricsOnly && plan.bytes > 0 && !args.flag('yes')) {
    for (const line of planLines(plan, context.width, metricsOnly)) print(`${line}\n`);
    const question = `Import ${counted(plan.checkpoints, 'checkpoint')} of up to ${bytes(plan.bytes)}?`;
    if (!(await ask(context, question))) {
      printError(
        `Nothing was imported. --yes imports ${counted(wanted, 'run')} with ${bytes(plan.bytes)} of checkpoints, --metrics-only without them.\n`,
      );
      return 1;
    }
  }
  const job = args.text('job');
  const request = { root, paths, metricsOnly, ...shell, ...(job === undefined ? {} : { job }) };
  const report = await requestTask(client, importRun, request, 'importing', integer);
  context.answer(report, reportLines(report, plan, context.width));
  return report.counts.added + report.counts.updated > 0 ? 0 : 1;
}

function planLines(
  { runs, counts, bytes: size, checkpoints, problems, files }: ImportPlan,
  width: number,
  metricsOnly: boolean,
): string[] {
  const found = counts.new + counts.grown + counts.same + counts.trashed;
  if (found === 0) return [`No runs were found in ${counted(files, 'file')}.`, ...problemLines(problems, width)];
  const lines = table(
    runs.slice(0, LISTED),
    [
      { title: 'RUN', cell: ({ job, name }) => safe(`${job}/${name}`), flexible: true },
      { title: 'TOOL', cell: ({ tool }) => tool },
      {
        title: 'STATE',
        cell: ({ state }) =>
          state === 'same' ? paint('dim', 'imported') : state === 'trashed' ? 'in the trash' : state,
      },
      { title: 'CHECKPOINTS', cell: (run) => (run.checkpoints > 0 ? integer(run.checkpoints) : ''), right: true },
      { title: 'SIZE', cell: (run) => (run.bytes > 0 ? bytes(run.bytes) : ''), right: true },
    ],
    width,
  );
  const more = found > LISTED ? [`… and ${integer(found - LISTED)} more`] : [];
  const what =
    metricsOnly || checkpoints === 0 ? '' : `, with ${counted(checkpoints, 'checkpoint')} of up to ${bytes(size)}`;
  const sum = `${counted(counts.new + counts.grown, 'run')} to import${what}; ${integer(counts.same)} imported before.`;
  return [...lines, ...more, '', sum, ...problemLines(problems, width)];
}

function reportLines({ runs, counts, problems }: ImportReport, plan: ImportPlan, width: number): string[] {
  const { added, updated, points, checkpoints } = counts;
  const names = runs.slice(0, LISTED).map(({ name, points: own, checkpoints: kept }) => {
    const parts = [counted(own, 'point'), ...(kept > 0 ? [counted(kept, 'checkpoint')] : [])];
    return `  ${safe(name)}  ${paint('dim', parts.join(', '))}`;
  });
  const more = added + updated > names.length ? [`  … and ${integer(added + updated - names.length)} more`] : [];
  const same = plan.counts.same > 0 ? `, ${integer(plan.counts.same)} unchanged` : '';
  const sum = `${counted(added, 'run')} added, ${integer(updated)} updated${same}: ${counted(points, 'point')}, ${counted(checkpoints, 'checkpoint')}. The originals are as they were.`;
  return [...names, ...more, ...wrapped(sum, width), ...problemLines(problems, width)];
}

function problemLines(problems: readonly ImportProblem[], width: number): string[] {
  const lines = problems.slice(0, PROBLEMS).flatMap(({ path, problem }) => {
    const [first = '', ...rest] = wrapped(safe(`${path}: ${problem}.`), width - 2);
    return [`${paint('yellow', '!')} ${first}`, ...rest.map((line) => `  ${line}`)];
  });
  return problems.length > PROBLEMS ? [...lines, `  … and ${integer(problems.length - PROBLEMS)} more`] : lines;
}
