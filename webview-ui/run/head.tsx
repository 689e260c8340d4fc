/** Head of a run's page: its name, state and facts, and what can be done with it. */
import type { Run } from '../../protocol/domain.ts';
import { engineText, gpuHours } from '../../protocol/engine-words.ts';
import { isCrash, LIVE_STATUSES } from '../../protocol/status.ts';
import {
  age,
  alarmIn,
  bestText,
  counted,
  duration,
  integer,
  metric,
  percent,
  resumeWords,
} from '../../protocol/words.ts';
import type { RunPageSaid, RunPageState } from '../contract.ts';
import { offers } from '../shared/page.ts';

type Send = (message: RunPageSaid) => void;

export function Head({ state, send }: { state: RunPageState; send: Send }) {
  const { run } = state;
  const alarm = alarmIn(run);
  const words = LIVE_STATUSES.includes(run.status) ? '' : resumeWords(run);
  return (
    <header>
      <div class="bar">
        <h1>{run.name}</h1>
        <span class={`badge ${run.status}`}>{run.status}</span>
        {run.label && <span class="quiet">{run.label}</span>}
        {run.pinned && <span class="quiet">pinned</span>}
      </div>
      {run.reason && <p class={isCrash(run.status) ? 'problem' : 'quiet'}>{run.reason}</p>}
      {alarm !== null && (
        <p class="alarm">
          {alarm} is {metric(run.metrics[alarm]!.last)} at step {integer(run.metrics[alarm]!.lastStep)}.
        </p>
      )}
      {run.status === 'running' && run.totalSteps ? (
        <progress value={run.step} max={run.totalSteps} aria-label={`${percent(run)} % of the steps`} />
      ) : null}
      <Actions run={run} send={send} />
      <dl class="facts">
        <Fact name="Progress">{progressOf(run)}</Fact>
        <Fact name="Result">{bestText(run)}</Fact>
        <Fact name="Started">{startedOf(run)}</Fact>
        <Fact name="Branch">{branchOf(run)}</Fact>
        <Fact name={run.command ? 'Command' : 'Job'}>{run.command ? run.command.words.join(' ') : run.job}</Fact>
        <Fact name="Device">{deviceOf(run)}</Fact>
        <Fact name="Cluster">{engineText(run)}</Fact>
        <Fact name="Cost">{costOf(state)}</Fact>
        <Fact name="A resume">{words}</Fact>
        {state.run.parent && (
          <Fact name="Fork of">
            <button type="button" class="link" onClick={() => send({ say: 'openRun', run: run.parent!.run })}>
              {state.parent ?? 'a run'} at step {integer(run.parent!.step)}
            </button>
          </Fact>
        )}
        <Fact name="Note">
          {run.note && <span class="note">{run.note}</span>}
          <button type="button" class="link" onClick={() => send({ say: 'act', action: 'note' })}>
            {run.note ? 'edit' : 'add a note'}
          </button>
        </Fact>
      </dl>
    </header>
  );
}

function Actions({ run, send }: { run: Run; send: Send }) {
  const live = LIVE_STATUSES.includes(run.status);
  const running = run.status === 'running' || run.status === 'starting';
  const act = (action: Extract<RunPageSaid, { say: 'act' }>['action'], title: string, isMain = false) =>
    offers(action) && (
      <button type="button" class={isMain ? 'main' : undefined} onClick={() => send({ say: 'act', action })}>
        {title}
      </button>
    );
  return (
    <div class="bar actions">
      {!live && run.checkpoints > 0 && act('resume', 'Resume', run.status !== 'completed')}
      {running && act('pause', 'Pause', true)}
      {running && act('checkpoint', 'Checkpoint Now')}
      {live && act('stop', 'Stop')}
      {run.checkpoints > 0 && act('export', 'Export…')}
      {act('report', 'Report…')}
      {act('compare', 'Compare…')}
      {run.monitor && act('compareBest', 'Compare with the Best')}
      {act('log', 'Open Log')}
      {act('rename', 'Rename…')}
      {!live && act('delete', 'Delete')}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  if (children === '' || children == null || children === false) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function progressOf(run: Run): string {
  const step = `step ${integer(run.step)}${run.totalSteps ? ` of ${integer(run.totalSteps)}` : ''}`;
  const left = run.etaSeconds === null ? '' : `${duration(run.etaSeconds)} left`;
  return [step, `epoch ${integer(run.epoch)}`, left].filter(Boolean).join(', ');
}

function startedOf({ startedAt, createdAt, endedAt, status }: Run): string {
  const from = startedAt ?? createdAt;
  const when = `${new Date(from).toLocaleString()} (${age(from)})`;
  if (endedAt === null) return status === 'queued' ? `queued ${age(createdAt)}` : when;
  return `${when}, ended after ${duration((endedAt - from) / 1000)}`;
}

function branchOf({ branch, commit, dirty }: Run): string {
  if (branch === null && commit === null) return '';
  const at = commit ? ` at ${commit.slice(0, 10)}` : '';
  return `${branch ?? '(no branch)'}${at}${dirty ? ', with uncommitted changes' : ''}`;
}

function deviceOf({ kind, backend, backendReason, devices }: Run): string {
  const gpus = devices && devices.length > 0 ? `GPU ${devices.join(', ')}` : '';
  const own = kind === 'module' ? `${backend}${backendReason ? ` (${backendReason})` : ''}` : '';
  return [own, gpus].filter(Boolean).join(', ');
}

function costOf({ run, sessions }: RunPageState): string {
  const hours = gpuHours(run, sessions, Date.now());
  return hours === null ? '' : `${hours.toFixed(2)} GPU hours, on ${counted(run.engine!.gpus!, 'GPU')}`;
}
