/** Shows runs, checkpoints and the store. */
import type {
  Checkpoint,
  MetricSummary,
  Monitor,
  Run,
  RunOrigin,
  Session,
  StoreUsage,
  Waiting,
} from '../protocol/domain.ts';
import type { EngineState } from '../protocol/engines.ts';
import type { FsckReport, KeptRun } from '../protocol/messages/store.ts';
import { fromWireNumber } from '../protocol/numbers.ts';
import { troubleOf } from '../protocol/soundness.ts';
import { type UsageSeries, usageWords } from '../protocol/usage.ts';
import { age, alarmIn, bestText, bytes, counted, duration, integer, metric, percent } from '../protocol/words.ts';
import { bar, type Column, paint, safe, table, wrapped } from './format.ts';
import { ingredientLines } from './ingredients.ts';
import { columnsOf } from './width.ts';

const STATUS_STYLE: Record<string, Parameters<typeof paint>[0]> = {
  running: 'green',
  starting: 'green',
  pausing: 'yellow',
  stopping: 'yellow',
  queued: 'cyan',
  paused: 'yellow',
  completed: 'blue',
  failed: 'red',
  lost: 'red',
  stopped: 'dim',
};
const MAX_BRANCH = 24;
const GRADE_MARK: Record<Checkpoint['grade'], string> = {
  verified: '✔ verified',
  complete: 'complete',
  partial: 'partial',
  'weights only': 'weights only',
};

/** Lists runs; `withBranch` adds a column for runs of several branches. */
export function runTable(runs: readonly Run[], width: number, withBranch = false): string[] {
  const columns: Column<Run>[] = [
    { title: 'RUN', cell: (run) => safe(run.label ? `${run.name} · ${run.label}` : run.name), flexible: true },
    ...(withBranch ? [{ title: 'BRANCH', cell: (run: Run) => safe(cut(branchText(run))) }] : []),
    { title: 'STATUS', cell: (run) => paint(STATUS_STYLE[run.status] ?? 'reset', run.status) },
    {
      title: 'PROGRESS',
      cell: (run) =>
        run.waiting
          ? waitingText(run.waiting)
          : run.totalSteps
            ? `${bar(run.step / run.totalSteps, 8)} ${String(percent(run)).padStart(3)}%`
            : run.step > 0
              ? `step ${integer(run.step)}`
              : '',
    },
    { title: 'BEST', cell: (run) => (alarmIn(run) === null ? bestText(run) : paint('yellow', `! ${bestText(run)}`)) },
    {
      title: 'AGE',
      cell: (run) =>
        run.status === 'running' && run.etaSeconds !== null
          ? `${duration(run.etaSeconds)} left`
          : age(run.endedAt ?? run.createdAt),
    },
  ];
  return table(runs, columns, width);
}

function branchText({ branch, commit }: Run): string {
  return branch ?? (commit ? '(detached HEAD)' : '(no git)');
}

/** Shortens a branch's name at its start, since the end tells names apart. */
function cut(name: string): string {
  return name.length <= MAX_BRANCH ? name : `…${name.slice(1 - MAX_BRANCH)}`;
}

const WAITS = {
  environment: 'needs its environment',
  code: 'code has changed',
  files: 'files of another branch',
  time: 'until its time',
  request: 'paused in the queue',
  engine: 'on its engine',
} as const;

/** Describes where a run is: `cluster, job 17 on n1, life 3, waits (Resources)`. */
function engineText({ name, job, nodes, life, phase, reason, unknownSince }: EngineState): string {
  const place = `${safe(name)}, job ${safe(job)}${nodes ? ` on ${safe(nodes)}` : ''}, life ${life}`;
  if (unknownSince !== null) return `${place}, state unknown: its last answer was ${age(unknownSince)}`;
  return phase === 'pending' ? `${place}, waits${reason ? ` (${safe(reason)})` : ''}` : place;
}

function waitingText({ for: what, behind }: Waiting): string {
  if (what === 'device') return behind === null ? 'waits for the device' : `behind #${behind}`;
  if (what === 'run') return behind === null ? 'after another run' : `after #${behind}`;
  return WAITS[what];
}

/** Lists the reasons why queued runs wait that a person may have to act on. */
export function waitingLines(runs: readonly Run[], width: number): string[] {
  const blocked = runs.filter(({ waiting }) => waiting && waiting.for !== 'device' && waiting.for !== 'time');
  return blocked.flatMap((run) => {
    const [first = '', ...rest] = wrapped(safe(`${run.name} ${run.reason}`), width - 2);
    return [`${paint('yellow', '!')} ${first}`, ...rest.map((line) => `  ${line}`)];
  });
}

/** Formats the run's current state as one line, never wider than the terminal. */
export function progressLine(run: Run, width: number): string {
  const share = run.totalSteps ? `${bar(run.step / run.totalSteps, 20)} ${percent(run)}%` : '';
  const parts = [
    safe(run.name),
    share,
    `step ${integer(run.step)}${run.totalSteps ? `/${integer(run.totalSteps)}` : ''}`,
    run.metrics.loss ? `loss ${metric(run.metrics.loss.last)}` : '',
    run.status === 'running' ? (run.etaSeconds === null ? '' : `${duration(run.etaSeconds)} left`) : run.status,
  ];
  return [...parts.filter(Boolean).join('  ')].slice(0, width).join('');
}

/** Lists checkpoints. `monitor`, that of their run, decides which are marked as diverged. */
export function checkpointTable(
  checkpoints: readonly Checkpoint[],
  width: number,
  monitor: Monitor | null = null,
): string[] {
  const mark = (checkpoint: Checkpoint) => {
    const trouble = troubleOf(checkpoint, monitor);
    return trouble === null || checkpoint.reasons.includes(trouble) ? [] : [paint('yellow', trouble)];
  };
  const columns: Column<Checkpoint>[] = [
    { title: 'CHECKPOINT', cell: ({ id }) => id },
    { title: 'STEP', cell: ({ step }) => integer(step), right: true },
    { title: 'EPOCH', cell: ({ epoch }) => String(epoch), right: true },
    { title: 'GRADE', cell: gradeText },
    {
      title: 'WHY',
      cell: (checkpoint) =>
        [...checkpoint.tags.map((tag) => `#${safe(tag)}`), ...checkpoint.reasons.map(safe), ...mark(checkpoint)].join(
          ' ',
        ),
      flexible: true,
    },
    { title: 'SIZE', cell: (checkpoint) => bytes(checkpoint.bytes), right: true },
    { title: 'AGE', cell: ({ createdAt }) => age(createdAt) },
  ];
  return table(checkpoints, columns, width);
}

export function gradeText({ lacks, ...checkpoint }: Checkpoint): string {
  const without = lacks?.length ? `, ${paint('yellow', `without ${safe(lacks.join(', '))}`)}` : '';
  return `${provenText(checkpoint)}${without}`;
}

function provenText({ grade, proof }: Pick<Checkpoint, 'grade' | 'proof'>): string {
  if (grade === 'verified') return paint('green', `${GRADE_MARK.verified} (${counted(proof?.steps ?? 0, 'step')})`);
  if (proof?.verdict === 'not deterministic') return `${GRADE_MARK[grade]}, ${paint('yellow', 'not deterministic')}`;
  return GRADE_MARK[grade];
}

function originText({ remote, machine, number, sentAt }: RunOrigin): string {
  return `${safe(remote)}, where it is #${number}; ${safe(machine)} sent it ${age(sentAt)}`;
}

export function runDetails(
  run: Run,
  sessions: readonly Session[],
  checkpoints: readonly Checkpoint[],
  width: number,
  usage: readonly UsageSeries[] = [],
): string[] {
  const used = usageWords(usage).join('; ');
  const lines = [
    `${paint('bold', safe(run.name))}${run.label ? ` · ${safe(run.label)}` : ''}  ${paint(STATUS_STYLE[run.status] ?? 'reset', run.status)}${run.reason ? `: ${safe(run.reason)}` : ''}`,
    field(
      'progress',
      run.totalSteps
        ? `${bar(run.step / run.totalSteps, 20)} ${percent(run)}%  step ${integer(run.step)} of ${integer(run.totalSteps)}, epoch ${run.epoch}`
        : `step ${integer(run.step)}`,
    ),
    field(
      'branch',
      `${safe(branchText(run))}${run.commit ? ` @ ${run.commit.slice(0, 10)}` : ''}${run.dirty ? ', with uncommitted changes' : ''}`,
    ),
    field('code', codeText(run)),
    ...(Object.keys(run.params).length > 0
      ? [
          field(
            'params',
            Object.entries(run.params)
              .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
              .join(' '),
          ),
        ]
      : []),
    run.kind === 'module'
      ? field('backend', `${run.backend}, seed ${run.seed}`)
      : field('command', safe(run.command ? run.command.words.join(' ') : `job ${run.job}`)),
    ...(run.engine ? fieldLines('engine', engineText(run.engine), width) : []),
    ...(run.backendReason ? fieldLines('chosen since', safe(run.backendReason), width) : []),
    ...(used ? fieldLines('used', used, width) : []),
    ...(run.origin ? [field('from', originText(run.origin))] : []),
    ...(run.imported ? fieldLines('imported', safe(`from ${run.imported.tool}, ${run.imported.path}`), width) : []),
    field('id', run.id),
  ];
  if (run.parent) lines.push(field('fork of', `run ${run.parent.run} at step ${integer(run.parent.step)}`));
  if (run.note) lines.push(field('note', safe(run.note)));
  for (const [name, summary] of Object.entries(run.metrics))
    if (name !== 'learning_rate') lines.push(...metricLines(safe(name), summary, width));
  for (const notice of run.notices.slice(-5)) {
    const mark =
      notice.level === 'info' ? paint('green', '✔') : paint(notice.level === 'error' ? 'red' : 'yellow', '!');
    const [first = '', ...rest] = wrapped(safe(notice.text), width - 4);
    lines.push(`  ${mark} ${first}`, ...rest.map((line) => `    ${line}`));
  }
  lines.push(...rollbackLines(run, width));
  const launches = sessions.filter(({ purpose }) => purpose === 'train');
  if (launches.length > 1) {
    lines.push('', paint('dim', 'SESSIONS'));
    for (const session of launches)
      lines.push(`  ${session.ordinal}  started ${age(session.startedAt)}${fromText(session)}`);
  }
  if (checkpoints.length > 0) lines.push('', ...checkpointTable(checkpoints, width, run.monitor));
  const newest = checkpoints.at(-1);
  if (newest?.ingredients) lines.push('', ...madeOf(newest, width));
  return lines;
}

function rollbackLines({ rollbacks = [] }: Run, width: number): string[] {
  if (rollbacks.length === 0) return [];
  const lines = rollbacks.map(({ trouble, step, toStep, set, skip }) => {
    const params = Object.entries(set).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    const left = skip ? [`without ${counted(skip.count, skip.unit.slice(0, -1), skip.unit)}`] : [];
    const back = toStep === null ? 'to the beginning' : `to step ${integer(toStep)}`;
    return `${trouble} at step ${integer(step)}, back ${back}${[...params, ...left].map((one) => `, ${one}`).join('')}`;
  });
  const shown = lines.slice(-5).flatMap((line) => wrapped(safe(line), width - 4).map((part) => `  ${part}`));
  return ['', paint('dim', 'ROLLBACKS'), ...shown];
}

/** Shows a metric; a long name gets a line of its own. */
function metricLines(name: string, summary: MetricSummary, width: number): string[] {
  const line = field(name, summaryText(summary));
  return columnsOf(line) <= width ? [line] : [field(name, '').trimEnd(), field('', summaryText(summary))];
}

function summaryText({ last, min, max, count, notFinite }: MetricSummary): string {
  const range = min === null ? '' : `lowest ${metric(min)}, highest ${metric(max)}`;
  const strange = notFinite === 0 ? '' : `${integer(notFinite)} of ${integer(count)} not finite`;
  const text = `${metric(last)}  (${[range, strange].filter(Boolean).join('; ')})`;
  return Number.isFinite(fromWireNumber(last)) ? text : paint('yellow', text);
}

function fromText({ ordinal, resumedFrom, offered }: Session): string {
  if (resumedFrom) return `, from step ${integer(resumedFrom.step)}`;
  const files = offered ? `, with the files of step ${integer(offered.step)} in place` : '';
  return ordinal === 1 ? '' : `, from the beginning again${files}`;
}

export function checkpointDetails(checkpoint: Checkpoint, width: number): string[] {
  const { proof, metrics, stateDigest } = checkpoint;
  return [
    ...checkpointTable([checkpoint], width),
    '',
    ...Object.entries(metrics).map(([name, value]) => field(name, metric(value))),
    ...(proof ? fieldLines('proof', `${proof.kind} of ${counted(proof.steps, 'step')}: ${proof.verdict}`, width) : []),
    field('state', stateDigest.slice(0, 16)),
    '',
    ...madeOf(checkpoint, width),
  ];
}

function madeOf(checkpoint: Checkpoint, width: number): string[] {
  const title = `STATE AT STEP ${integer(checkpoint.step)}`;
  const codes = new Set(checkpoint.ingredients?.flatMap(({ code }) => code ?? []));
  const more = [...codes].map((code) => `trainstash help ${safe(code)}`).join(', ');
  return [
    paint('dim', title),
    ...ingredientLines(checkpoint, width),
    ...(more ? wrapped(`More: ${more}`, width - 2).map((line) => `  ${paint('dim', line)}`) : []),
  ];
}

export function usageLines(usage: StoreUsage): string[] {
  const used = usage.objectsBytes - usage.freeBytes;
  return [
    field(
      'checkpoints',
      `${integer(usage.checkpoints)}, ${bytes(used)} of ${bytes(usage.quotaBytes)}  ${bar(used / usage.quotaBytes, 20)}`,
    ),
    field(
      'in the trash',
      usage.trashBytes > 0
        ? `${counted(usage.trashedCheckpoints, 'checkpoint')}, ${bytes(usage.trashBytes)} before deduplication (\`trainstash ls --trash\`)`
        : 'nothing',
    ),
    field('free pages', bytes(usage.freeBytes)),
    field('catalog', bytes(usage.catalogBytes)),
    field('sessions', bytes(usage.sessionsBytes)),
    ...(usage.otherBytes > 0 ? [field('code', bytes(usage.otherBytes))] : []),
    ...(usage.stashesBytes > 0 ? [field('stashes', `${bytes(usage.stashesBytes)}, not part of the quota`)] : []),
    ...(usage.filesBytes > 0 ? [field('files of runs', `${bytes(usage.filesBytes)}, not part of the quota`)] : []),
    ...(usage.leftBytes > 0
      ? [
          field(
            'left behind',
            `${bytes(usage.leftBytes)} by killed writers; removed when the daemon next starts, or within 7 days`,
          ),
        ]
      : []),
  ];
}

/** Lists checkpoints with the reasons for keeping them. */
export function keptLines(runs: readonly KeptRun[], width: number): string[] {
  if (runs.length === 0) return ['No checkpoints are kept.'];
  return runs.flatMap(({ name, branch, bytes: total, checkpoints, more }, i) => [
    ...(i > 0 ? [''] : []),
    `${safe(name)}${branch === null ? '' : ` on ${safe(branch)}`}: ${bytes(total)} before deduplication`,
    ...table(
      checkpoints,
      [
        { title: 'CHECKPOINT', cell: ({ checkpoint }) => checkpoint.id },
        { title: 'STEP', cell: ({ checkpoint }) => integer(checkpoint.step), right: true },
        { title: 'SIZE', cell: ({ checkpoint }) => bytes(checkpoint.bytes), right: true },
        { title: 'WHY IT IS KEPT', cell: ({ reasons }) => safe(reasons.join('; ') || 'not needed'), flexible: true },
      ],
      width,
    ),
    ...(more > 0 ? [`and ${counted(more, 'older one')}`] : []),
  ]);
}

export function fsckLines(report: FsckReport, full: boolean): string[] {
  const lines = [
    `${counted(report.checkpoints, 'checkpoint')}, ${counted(report.chunks, 'chunk')}, ${bytes(report.bytes)} read and verified against their ${full ? 'hashes' : 'checksums'}.`,
  ];
  for (const { checkpoint, problem, whole } of report.problems) {
    const where = checkpoint ? `checkpoint ${checkpoint}: ` : '';
    const earlier = checkpoint
      ? whole
        ? `; the last intact one before it is ${whole}`
        : '; no earlier one of its run is intact'
      : '';
    lines.push(paint('red', `! ${where}${problem}${earlier}`));
  }
  if (report.problems.length === 0) lines.push(paint('green', '✔ everything is intact'));
  if (report.rebuilt)
    lines.push(
      `Catalog rebuilt: ${counted(report.rebuilt.runs, 'run')}, ${counted(report.rebuilt.checkpoints, 'checkpoint')}.`,
      ...report.rebuilt.notRestored.map((text) => `  not restored: ${text}`),
    );
  return lines;
}

export function field(name: string, value: string): string {
  return `  ${paint('dim', name.padEnd(12))} ${value}`;
}

function fieldLines(name: string, value: string, width: number): string[] {
  return wrapped(value, width - 15).map((line, i) => field(i === 0 ? name : '', line));
}

function codeText({ code, codeLeftOut }: Run): string {
  if (!code) return 'not kept';
  const without =
    codeLeftOut.length > 0
      ? `, without ${counted(codeLeftOut.length, 'large file')}: ${safe(codeLeftOut.join(', '))}`
      : '';
  return `kept (${code.slice(0, 10)})${without}`;
}
