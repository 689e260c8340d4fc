/** Answers that the user has given once for a job, so that Trainstash does not ask again. */
import { join } from 'node:path';
import { readJson, writeJson } from '../../../base/files.ts';

/** Tells whether the job's script is known to continue from its own saved files. */
export function resumesItself(store: string, job: string): boolean {
  return read(store).includes(job);
}

export function rememberResumesItself(store: string, job: string): void {
  const known = read(store);
  if (!known.includes(job)) writeJson(fileOf(store), { resumesItself: [...known, job] }, true);
}

function read(store: string): string[] {
  const { resumesItself: jobs } = (readJson(fileOf(store)) ?? {}) as { resumesItself?: unknown };
  return Array.isArray(jobs) ? jobs.filter((job) => typeof job === 'string') : [];
}

function fileOf(store: string): string {
  return join(store, 'answers.json');
}
