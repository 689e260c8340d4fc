/**
 * Changes of a run's record. Several owners write it: what follows a session, the queue, engines, people. Each names the fields that
 * it changes, and the store's thread applies them to the record as it is then. Pure.
 */
import type { Notice, Run } from '../../../protocol/domain.ts';

/** Most notices that a record lists. */
const MAX_NOTICES = 20;

/** Fields that owners set. The store itself gives the numbers and counts the checkpoints. */
export type RunFields = Partial<Omit<Run, 'id' | 'number' | 'notices' | 'checkpoints' | 'lastCheckpoint'>>;

/** Notices to remove: those that fulfil all of its conditions. */
export interface NoticeFilter {
  codes?: readonly string[];
  since?: number;
}

export interface RunChange {
  /** Fields with their new values; `undefined` removes one. */
  set?: RunFields;
  /** Notices to remove, and those to add afterwards. */
  dropNotices?: NoticeFilter;
  addNotices?: readonly Notice[];
  /** Counts the checkpoints of the run anew, and finds the one that a resume continues from. */
  recount?: true;
}

/** Returns a record with a change. Its checkpoints are not counted here. */
export function withChange(run: Run, { set, dropNotices, addNotices }: RunChange): Run {
  const kept = dropNotices ? run.notices.filter((notice) => !fulfils(notice, dropNotices)) : run.notices;
  const notices = addNotices?.length ? [...kept, ...addNotices].slice(-MAX_NOTICES) : kept;
  return { ...run, ...set, notices };
}

/** Tells whether a record still has these values. */
export function hasFields(run: Run, fields: RunFields): boolean {
  return Object.entries(fields).every(
    ([name, value]) => JSON.stringify(run[name as keyof Run] ?? null) === JSON.stringify(value ?? null),
  );
}

function fulfils({ code, at }: Notice, { codes, since = Number.NEGATIVE_INFINITY }: NoticeFilter): boolean {
  return (codes?.includes(code) ?? true) && at >= since;
}
