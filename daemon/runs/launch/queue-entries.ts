/** Entries of the queue in their first state, and texts about what queued runs wait for. Pure. */

import { join } from 'node:path';
import type { JobConfig } from '../../../protocol/config.ts';
import type { Run } from '../../../protocol/domain.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import { isCrash } from '../../../protocol/status.ts';
import { integer } from '../../../protocol/words.ts';
import type { RunFields } from '../../store/catalog/run-change.ts';
import type { ProjectContext } from '../context.ts';
import { splitWords } from './command.ts';
import { type Environment, namesOf, programOf } from './environments.ts';
import { type CodeDifference, differenceText } from './identity.ts';
import type { QueueEntry } from './queue.ts';

export function isCrashed({ status, trashedAt }: Run): boolean {
  return isCrash(status) && trashedAt === null;
}

/** Tells whether the entry is about an interruption of the run's newest session: of an earlier one the run has gone on. */
export function isInterruption({ interruption }: QueueEntry, run: Pick<Run, 'session'>): boolean {
  return interruption !== null && interruption.session === run.session;
}

export function nextSteps({ number }: Run): string {
  return `\`trainstash resume ${number}\` starts it anyway, \`trainstash stop ${number}\` drops it.`;
}

export function codeText(
  run: Run,
  difference: CodeDifference,
  { identity }: QueueEntry,
  now: Parameters<typeof differenceText>[2],
): string {
  return `waits for its code: ${differenceText(difference, identity, now)}. It starts automatically once that is back. ${nextSteps(run)}`;
}

export function environmentText({ number }: Run, lack: string): string {
  return `waits for its environment: ${lack}. \`trainstash resume ${number}\` in a shell that has it starts the run.`;
}

/** Finds out what another environment would have to have in common with this one. */
export function factsOf(root: string, job: JobConfig, { environment, interpreter }: Environment) {
  const words = wordsOf(job);
  return {
    interpreter: interpreter ?? null,
    program: words && programOf(words, { ...placeOf(root, job), environment, interpreter }),
    variables: namesOf(environment),
  };
}

/** Returns undefined where `trainstash.json` has a mistake or lacks the job: a run that goes on waits for it at its turn. */
export function unlessMistaken<T>(read: () => T): T | undefined {
  const found = orMistake(read);
  return 'mistake' in found ? undefined : found.value;
}

/** Returns the mistake where `trainstash.json` has one or lacks the job. */
export function orMistake<T>(read: () => T): { value: T } | { mistake: string } {
  try {
    return { value: read() };
  } catch (error) {
    if (isError(error, 'configInvalid') || isError(error, 'jobUnknown')) return { mistake: error.message };
    throw error;
  }
}

export function mistakeText({ number }: Run, mistake: string): string {
  return `waits for its job: ${mistake} It starts automatically once that is mended; \`trainstash stop ${number}\` drops it.`;
}

/** Throws `notFound` if the checkpoint that a rollback goes back to is gone. */
export async function requireTarget(
  store: Pick<ProjectContext['store'], 'checkpoint'>,
  { rollback, checkpoint }: QueueEntry,
  { name, number }: Run,
): Promise<void> {
  if (!rollback || checkpoint === null) return;
  const target = await store.checkpoint(checkpoint);
  if (target && target.trashedAt === null) return;
  throw new TrainstashError(
    'notFound',
    `${name} was to be rolled back to step ${integer(rollback.toStep ?? 0)}, and that checkpoint is gone. Nothing else was lost: \`trainstash resume ${number}\` goes on from the newest good one.`,
    { what: 'checkpoint', query: checkpoint },
  );
}

export function secretText({ number }: Run): string {
  return `waits for its command, a part of which looks like a secret and was not kept: \`trainstash resume ${number} -- COMMAND\` starts it.`;
}

export function secretParamsText({ number }: Run, lost: readonly string[]): string {
  const options = lost.map((name) => `--set ${name}=…`).join(' ');
  return `waits for ${lost.join(' and ')}, which looks like a secret and was not kept: \`trainstash resume ${number} ${options}\` starts it.`;
}

/** Makes an entry for a run that an earlier version queued without one. */
export function migratedEntry(run: Run, { place }: ProjectContext): QueueEntry {
  const { branch, branchId, commit, dirty, code } = run;
  return {
    ...newEntry(run, place.root),
    at: run.createdAt,
    checkpoint: run.lastCheckpoint?.id ?? null,
    identity: { branch, branchId, commit, dirty, code },
  };
}

export function newEntry(run: Run, root: string): QueueEntry {
  const { branch, branchId, commit, dirty, code } = run;
  return {
    run: run.id,
    at: Date.now(),
    root,
    checkpoint: null,
    accept: false,
    identity: { branch, branchId, commit, dirty, code },
    interpreter: null,
    program: null,
    variables: null,
    isRestart: false,
    priority: 0,
    urgent: false,
    interrupts: false,
    accepted: [],
    movable: [],
    paused: false,
    after: null,
    notBefore: null,
    gpu: run.gpu,
    interruptedFor: null,
    interruption: null,
    rollback: null,
  };
}

/** Fields of a run that has just been queued. */
export const QUEUED: RunFields = { status: 'queued', reason: '', waiting: { for: 'device', behind: null } };

/** Returns the words that name the program; null: the job has no command. */
export function wordsOf({ run }: JobConfig): readonly string[] | null {
  return typeof run === 'string' ? splitWords(run) : (run ?? null);
}

export function placeOf(root: string, { cwd }: JobConfig): { root: string; cwd: string } {
  return { root, cwd: join(root, cwd ?? '') };
}
