/** Compares runs, checkpoints and branches. */
import {
  type CodeFileDiff,
  type CurveAxis,
  type Diff,
  differs,
  type MetricDiff,
  type WeightsDiff,
} from '../../protocol/diff.ts';
import { isError } from '../../protocol/errors.ts';
import { diffShow, diffWeights } from '../../protocol/messages/diff.ts';
import { integer, metric, orDash } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Column, paint, safe, safeCode, table } from '../format.ts';
import { requestTask } from '../task.ts';
import { weightsLines } from '../weights.ts';

const SHOWN_FILES = 20;

export const diffCommands: Record<string, Command> = {
  diff: {
    summary: 'compare runs, checkpoints or branches',
    usage: 'A B [C]… | BRANCH..BRANCH [--by step|epoch|time] [--code] [--no-weights] [--all] [--map OLD=NEW]…',
    options: {
      by: { type: 'string' },
      code: { type: 'boolean' },
      'no-weights': { type: 'boolean' },
      all: { type: 'boolean' },
      map: { type: 'string', multiple: true },
    },
    words: [1, 8],
    async run(context) {
      const sides = context.args.words;
      if (sides.length === 1 && !sides[0]!.includes('..'))
        throw new UsageError(
          'diff needs two sides: `trainstash diff 3 4`, `trainstash diff 3@1200 4@best` or `trainstash diff main..idea`.',
        );
      const axis = axisOf(context.args.text('by') ?? 'step');
      const client = await context.project();
      const found = await client.request(diffShow, { root: context.root, sides, axis });
      const weights: WeightsDiff[] = [];
      const problems: string[] = [];
      if (!context.args.flag('no-weights')) {
        const [first, ...others] = found.sides.map(({ checkpoint }) => checkpoint);
        for (const other of others) {
          if (!first || !other) continue;
          const params = { root: context.root, sides: [first, other], mapping: mappingOf(context.args.texts('map')) };
          try {
            weights.push(await requestTask(client, diffWeights, params, 'Comparing weights'));
          } catch (error) {
            // Two models may well have no tensor in common: the rest of the diff is still printed.
            if (!isError(error, 'nothingInCommon')) throw error;
            problems.push(error.message);
          }
        }
      }
      context.answer({ ...found, weights, problems }, [
        ...diffLines(found, context.width, context.args.flag('code')),
        ...weights.flatMap((one) => weightsLines(one, context.width, context.args.flag('all'))),
        ...problems.flatMap((text) => ['', paint('bold', 'Weights'), `  ${safe(text)}`]),
      ]);
      return problems.length > 0 ? 1 : 0;
    },
  },
};

function axisOf(text: string): CurveAxis {
  if (text === 'step' || text === 'epoch' || text === 'time') return text;
  throw new UsageError(`--by takes step, epoch or time, not "${text}".`);
}

function mappingOf(texts: readonly string[]): { from: string; to: string }[] {
  return texts.map((text) => {
    const at = text.indexOf('=');
    if (at < 0) throw new UsageError(`--map takes OLD=NEW (prefixes of tensor names), not "${text}".`);
    return { from: text.slice(0, at), to: text.slice(at + 1) };
  });
}

function diffLines(diff: Diff, width: number, withCode: boolean): string[] {
  const { sides, params, axis, metrics, code, environment, data, lineage, sameState } = diff;
  const names = sides.map(({ label }) => safe(label));
  const columns = <T>(title: string, name: (row: T) => string, cell: (row: T, side: number) => string): Column<T>[] => [
    { title, cell: (row) => safe(name(row)), flexible: true },
    ...names.map((label, i) => ({ title: label, cell: (row: T) => safe(cell(row, i)) })),
  ];
  const lines: string[] = [];
  const section = (title: string, body: string[]) => body.length > 0 && lines.push('', paint('bold', title), ...body);
  lines.push(
    sameState === true
      ? paint('green', '✔ the states are bit-identical')
      : sameState === false
        ? 'the states differ'
        : 'not every side has a checkpoint',
  );
  const since = lineage.steps.map((steps, i) => `${names[i]} ${integer(steps)}`).join(', ');
  lines.push(
    lineage.ancestor
      ? `common origin: step ${integer(lineage.ancestor.step)} (${lineage.ancestor.checkpoint}); steps since: ${since}`
      : 'no common origin: each side was started from scratch',
  );
  section(
    'Params',
    params.length > 0
      ? table(
          params,
          columns(
            'NAME',
            ({ name }) => name,
            ({ values }, i) => {
              const value = values[i];
              return value ? `${JSON.stringify(value.value)}${value.isDefault ? ' (default)' : ''}` : '–';
            },
          ),
          width,
        )
      : ['  identical'],
  );
  section(
    'Metrics',
    table(
      metrics.flatMap((one) => [
        { label: one.name, of: (i: number) => orDash(one.sides[i]!.last) },
        { label: '  lowest', of: (i: number) => orDash(one.sides[i]!.min) },
        { label: '  highest', of: (i: number) => orDash(one.sides[i]!.max) },
        { label: '  mean', of: (i: number) => orDash(one.sides[i]!.mean) },
        ...(one.common > 0
          ? [
              {
                label: `  ${partingText(one, axis)}`,
                of: () => '',
              },
            ]
          : []),
      ]),
      columns(
        'METRIC',
        ({ label }) => label,
        ({ of }, i) => of(i),
      ),
      width,
    ).slice(0, metrics.length > 0 ? undefined : 0),
  );
  const files = code.files
    .slice(0, withCode ? undefined : SHOWN_FILES)
    .flatMap((file) => codeLines(file, sides.length > 2 ? names[file.side]! : null, withCode));
  const more = code.more + (withCode ? 0 : Math.max(0, code.files.length - SHOWN_FILES));
  if (more > 0) files.push(`  … ${integer(more)} more`);
  if (!withCode && code.files.length > 0) files.push('  --code shows the changed lines');
  section(
    'Code',
    code.kept.every(Boolean) ? (files.length > 0 ? files : ['  identical']) : ['  not kept on every side'],
  );
  const facts = (rows: Diff['environment']) =>
    rows.length > 0
      ? table(
          rows,
          columns(
            'NAME',
            ({ name }) => name,
            ({ values }, i) => values[i] ?? '–',
          ),
          width,
        )
      : [];
  section('Environment', facts(environment));
  section('Data', facts(data));
  return lines;
}

function partingText(one: MetricDiff, axis: CurveAxis): string {
  if (one.partsAt !== null) return `first difference at ${axis} ${metric(one.partsAt)}`;
  return `equal at ${differs(one) ? 'the ' : ''}${integer(one.common)} ${axis}s${differs(one) ? ' that all have' : ''}`;
}

function codeLines({ path, status, added, removed, hunks }: CodeFileDiff, side: string | null, withHunks: boolean) {
  const counts = hunks === null ? 'binary or too large' : `+${integer(added)} −${integer(removed)}`;
  const mark = { added: paint('green', '+'), removed: paint('red', '-'), changed: '~' }[status];
  const title = `  ${mark} ${safe(path)}${side === null ? '' : ` (${side})`}  ${paint('dim', counts)}`;
  if (!withHunks || !hunks) return [title];
  const lines = hunks.split('\n').map((line) => {
    const text = `    ${safeCode(line)}`;
    if (line.startsWith('+')) return paint('green', text);
    if (line.startsWith('-')) return paint('red', text);
    return line.startsWith('@@') ? paint('dim', text) : text;
  });
  return [title, ...lines];
}
