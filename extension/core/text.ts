/** Describes runs and checkpoints for the tree and the status bar. Pure, and does not use `vscode`. */

import { alarmText, canGoOn } from '../../pages/run-facts.ts';
import { alertNow } from '../../protocol/alerts.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { engineText } from '../../protocol/engine-words.ts';
import { missingOf } from '../../protocol/ingredients.ts';
import { troubleOf } from '../../protocol/soundness.ts';
import { isCrash, LIVE_STATUSES, STALLED_MS } from '../../protocol/status.ts';
import { visible } from '../../protocol/visible.ts';
import {
  age,
  bestText,
  bytes,
  counted,
  duration,
  integer,
  metric,
  percent,
  rehearsalText,
} from '../../protocol/words.ts';

export interface Look {
  description: string;
  icon: string;
  /** Id of a theme colour. */
  color?: string;
  /** Words for `when` clauses. */
  context: string;
  /** Text for screen readers. */
  spoken: string;
}

const ICONS: Record<Run['status'], [icon: string, color?: string]> = {
  queued: ['clock'],
  starting: ['loading~spin'],
  running: ['pulse', 'charts.green'],
  pausing: ['loading~spin'],
  stopping: ['loading~spin'],
  paused: ['debug-pause', 'charts.yellow'],
  completed: ['pass', 'charts.blue'],
  failed: ['error', 'charts.red'],
  lost: ['warning', 'charts.orange'],
  stopped: ['circle-slash'],
};

/** Statuses in which a run with a NaN loss is marked; the others have marks of their own. */
const MARKED: ReadonlySet<Run['status']> = new Set(['running', 'pausing', 'paused', 'completed', 'stopped']);

/** Tells whether a queued run waits for a person's decision. */
export function waitsForPerson({ waiting }: Run): boolean {
  return waiting != null && ['environment', 'code', 'files'].includes(waiting.for);
}

export function lookOfRun(run: Run, now: number): Look {
  const live = LIVE_STATUSES.includes(run.status);
  const alert = live ? (alertNow(run.notices)?.text ?? '') : '';
  const alarm = alarmText(run) || alert;
  // A tick would suggest that all is well. Other outcomes are worse, and keep their marks.
  const [icon, color] = alarm && MARKED.has(run.status) ? ['warning', 'charts.orange'] : ICONS[run.status];
  const parts = live ? liveParts(run) : endedParts(run, now);
  // A run that waits there says so in its reason.
  if (live && run.status !== 'queued') parts.push(engineText(run));
  const description = [...parts, rollbackText(run), run.label].filter(Boolean).join(' · ');
  const words = ['run', run.status, live ? 'live' : 'ended'];
  if (canGoOn(run) || waitsForPerson(run)) words.push('resumable');
  if (run.checkpoints > 0) words.push('forkable');
  if (run.command) words.push('jobless');
  if (run.code !== null) words.push('coded');
  return {
    description,
    icon,
    color,
    context: words.join(' '),
    spoken: [run.name, run.status, alarm, description].filter(Boolean).join(', '),
  };
}

function rollbackText({ rollbacks = [] }: Run): string {
  if (rollbacks.length === 0) return '';
  return rollbacks.length === 1 ? 'rolled back' : `rolled back ${rollbacks.length}×`;
}

function liveParts(run: Run): string[] {
  if (run.status === 'queued') return [run.reason || 'waits for the device'];
  if (run.status === 'starting') return ['starting'];
  if (run.status === 'pausing' || run.status === 'stopping') return [`${run.status} at ${integer(run.step)}`];
  return [progress(run), bestText(run), run.etaSeconds === null ? '' : `${duration(run.etaSeconds)} left`];
}

function endedParts(run: Run, now: number): string[] {
  const at = run.step > 0 && run.status !== 'completed' ? ` at ${integer(run.step)}` : '';
  const status = run.status === 'completed' ? '' : `${run.status}${at}`;
  return [status, bestText(run), rehearsalText(run), age(run.endedAt ?? run.createdAt, now)];
}

function progress(run: Run): string {
  if (run.totalSteps) return `${percent(run)}%`;
  // A script that does not report its steps.
  return run.step > 0 ? `step ${integer(run.step)}` : run.status;
}

export function lookOfCheckpoint(checkpoint: Checkpoint, run: Run | undefined, now: number, isBest = false): Look {
  const { grade, proof, tags, missing, lacks } = checkpoint;
  const best = run?.monitor ? checkpoint.metrics[run.monitor.metric] : checkpoint.metrics.loss;
  const gradeText =
    grade === 'verified'
      ? `verified, ${counted(proof?.steps ?? 0, 'step')}`
      : grade === 'partial'
        ? `partial: ${missing.length === 1 ? missing[0] : `${missing.length} parts are not kept`}`
        : grade;
  const trouble = troubleOf(checkpoint, run?.monitor ?? null);
  const description = [
    ...tags.map((tag) => `#${tag}`),
    trouble ?? '',
    isBest ? 'best' : '',
    best === undefined ? '' : `${run?.monitor?.metric ?? 'loss'} ${metric(best)}`,
    gradeText,
    lacks?.length ? `without ${lacks.join(', ')}` : '',
    bytes(checkpoint.bytes),
    age(checkpoint.createdAt, now),
  ]
    .filter(Boolean)
    .join(' · ');
  const icon = trouble
    ? 'warning'
    : isBest
      ? 'star-full'
      : grade === 'verified'
        ? 'verified-filled'
        : tags.length > 0
          ? 'tag'
          : 'save';
  return {
    description,
    icon,
    color: trouble ? 'charts.orange' : isBest ? 'charts.yellow' : grade === 'verified' ? 'charts.green' : undefined,
    context: [
      'checkpoint',
      tags.length > 0 && 'tagged',
      run?.code != null && 'coded',
      run?.kind === 'command' && 'command',
    ]
      .filter(Boolean)
      .join(' '),
    spoken: `checkpoint of step ${integer(checkpoint.step)}, ${description}`,
  };
}

/** Lists the parts of a checkpoint's state for a tooltip; lost parts come first, one per line. */
export function ingredientFacts({ ingredients }: Checkpoint): string[] {
  if (!ingredients) return [];
  const named = (state: 'kept' | 'absent') => [
    ...new Set(ingredients.filter((one) => one.state === state).map((one) => (state === 'kept' ? one.name : one.kind))),
  ];
  const [kept, absent] = [named('kept'), named('absent')];
  return [
    ...missingOf(ingredients).map((text) => `not kept: ${text}`),
    kept.length > 0 ? `kept: ${kept.join(', ')}` : '',
    absent.length > 0 ? `not used: ${absent.join(', ')}` : '',
  ].filter(Boolean);
}

export interface StatusText {
  text: string;
  level: 'normal' | 'warning' | 'error';
  /** Effect of a click on `run`. */
  click: 'show' | 'resume' | 'log';
  run: Run;
}

/** Padding as wide as a digit, so that neighbours do not jump. */
const FIGURE_SPACE = '\u2007';
const VERIFIED_MS = 10_000;

/**
 * Returns the status bar's line for the runs of this window; null: there is nothing to say. `seen` holds the ids of failed runs
 * that the user has looked at.
 */
export function statusOf(runs: readonly Run[], seen: ReadonlySet<string>, now: number): StatusText | null {
  const live = runs.filter(({ status }) => LIVE_STATUSES.includes(status) && status !== 'queued');
  const newest = (list: readonly Run[]) => [...list].sort((a, b) => changedAt(b) - changedAt(a))[0];
  if (live.length > 1) {
    const known = live.filter(({ totalSteps }) => totalSteps);
    const share = known.length > 0 ? Math.min(...known.map(percent)) : null;
    return normal(`$(pulse) ${live.length} runs${share === null ? '' : ` · ${padded(share)}%`}`, live[0]!);
  }
  const [run] = live;
  if (run) return statusOfLive(run, now);
  // What ended last counts: an old failure is no news beside a run that has paused or completed since.
  const ended = newest(runs.filter(({ status }) => status !== 'queued'));
  if (!ended) return null;
  if (isCrash(ended.status) && !seen.has(ended.id)) {
    const at = ended.step > 0 ? `${ended.status} at step ${integer(ended.step)}` : `${ended.status} at its start`;
    const text = `$(${ended.status === 'lost' ? 'warning' : 'error'}) ${plain(ended.name)} ${at}`;
    return { text, level: 'error', click: 'log', run: ended };
  }
  // A failure that was looked at, or an attempt that did nothing, hides no paused run.
  const kept = newest(runs.filter(({ id, draft, status }) => !draft && status !== 'queued' && !seen.has(id)));
  if (kept?.status === 'paused') {
    const at = kept.totalSteps ? `${percent(kept)}%` : integer(kept.step);
    return { text: `$(debug-pause) ${plain(kept.name)} ${at}`, level: 'normal', click: 'resume', run: kept };
  }
  return null;
}

function statusOfLive(run: Run, now: number): StatusText {
  const name = plain(run.name);
  if (run.status === 'starting') return normal(`$(loading~spin) ${name} starting…`, run);
  if (run.status === 'pausing' || run.status === 'stopping')
    return normal(`$(loading~spin) ${name} ${run.status}…`, run);
  const proof = run.notices.findLast(({ code }) => code === 'verified');
  if (proof && now - proof.at < VERIFIED_MS) return normal(`$(verified) ${name} ${equalSteps(proof)} equal`, run);
  const stalled = run.notices.findLast(({ code }) => code === 'stalled');
  if (stalled && stalled.step === run.step && now - stalled.at < STALLED_MS * 10) {
    const minutes = Math.round((now - stalled.at + STALLED_MS) / 60_000);
    return { ...normal(`$(warning) ${name}: no step for ${minutes} min`, run), level: 'warning', click: 'log' };
  }
  const alert = alertNow(run.notices);
  const alarm = alarmText(run) || (alert ? firstSentence(alert.text) : '');
  const loss = alarm || (run.metrics.loss ? metric(run.metrics.loss.last) : '');
  const at = run.totalSteps ? ` ${padded(percent(run))}%` : run.step > 0 ? ` ${integer(run.step)}` : '';
  const parts = [`${name}${at}`, plain(loss), run.etaSeconds === null ? '' : duration(run.etaSeconds)].filter(Boolean);
  const text = `$(${alarm ? 'warning' : 'pulse'}) ${parts.join(' · ')}`;
  return { ...normal(text, run), level: alarm ? 'warning' : 'normal' };
}

/** Returns the first sentence of a notice, without its full stop: the status bar has room for little. */
function firstSentence(text: string): string {
  const [first] = /^.*?(?=\.(\s|$)|:\s)/.exec(text) ?? [text];
  return first.length > 60 ? `${first.slice(0, 59)}…` : first;
}

/** Writes how many steps a proof compared: `1 step`, `20 steps`. A run of an earlier version does not say. */
function equalSteps({ equalSteps: count }: Run['notices'][number]): string {
  return count === undefined ? 'all steps' : counted(count, 'step');
}

function normal(text: string, run: Run): StatusText {
  return { text, level: 'normal', click: 'show', run };
}

function changedAt(run: Run): number {
  return run.endedAt ?? run.startedAt ?? run.createdAt;
}

function padded(share: number): string {
  return String(share).padStart(2, FIGURE_SPACE);
}

/** Puts a name on one line and makes reversing or hiding characters visible. For places that render no icons and links. */
export function oneLine(text: string): string {
  return visible(text.replaceAll(/[^\S\u2028\u2029]+/g, ' '));
}

/** Does the same for places that do render them: `$(icon)` and links stay text. */
export function plain(text: string): string {
  return oneLine(text).replaceAll('$(', '$\u200b(').replaceAll('](', ']\u200b(');
}
