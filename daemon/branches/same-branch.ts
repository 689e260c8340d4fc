/**
 * Whether a branch is one that was seen before, whatever it was called then. Its name does not tell: `git branch -m main dev`
 * frees the name for another. Its reflog does: git takes it along when a branch is renamed and writes the rename into it,
 * removes it with the branch, and begins a new one with a new branch. Pure.
 */
import { createHash } from 'node:crypto';
import { type ReflogEntry, renamedBy } from '../code/reflog.ts';

/** Old entries expire, those of commits that were left first; one that is found is enough. */
const MARKS = 8;
const DIGEST_LENGTH = 16;
/** git's own limit for commits that were left; those of others live three times as long. */
const EXPIRES_MS = 30 * 86_400_000;
const SECOND_MS = 1_000;

/** An entry of a branch's reflog, and the name that the branch had once it was written. */
export interface Mark {
  entry: string;
  name: string;
  /** When it was written, in seconds. */
  at: number;
}

/** What a branch's reflog tells of it. */
export interface Life {
  /** The newest first, back to where the branch was made. */
  marks: readonly Mark[];
  /** The name that it had before the log begins; null: the log begins with the branch. */
  nameBefore: string | null;
  /** The commit that it had before the log begins. */
  commitBefore: string | null;
  /** The log begins with a first commit: without one a branch has no log. */
  wasUnborn: boolean;
}

/** What was kept of a branch. */
export interface Seen {
  name: string;
  /** The branch's commit; null before the first one. */
  tip: string | null;
  /** The newest first; none where git keeps no log. */
  marks: readonly Mark[];
  seenAt: number;
}

export function lifeOf(name: string, log: readonly ReflogEntry[]): Life {
  const marks: Mark[] = [];
  const life = { marks, nameBefore: null, commitBefore: null, wasUnborn: false };
  let now = name;
  for (const entry of [...log].reverse()) {
    const digest = createHash('sha256').update(entry.text).digest('base64url');
    marks.push({ entry: digest.slice(0, DIGEST_LENGTH), name: now, at: entry.at });
    const renamed = renamedBy(entry.subject);
    const isAbout = renamed?.to === now;
    if (isAbout && renamed.copied) return life;
    if (entry.before === null) return { ...life, wasUnborn: !/^branch: created from /i.test(entry.subject) };
    if (isAbout) now = renamed.from;
  }
  return { ...life, nameBefore: now, commitBefore: log[0]?.before ?? null };
}

/** What to keep of it, so that it is known again. */
export function marksOf({ marks }: Life): Mark[] {
  // The first entry outlives those of commits that were left.
  return marks.length > MARKS ? [...marks.slice(0, MARKS), marks.at(-1)!] : [...marks];
}

/**
 * How much of what was seen the log has. `firm`: all that cannot have expired, and something that no log of a branch that
 * was made later can have. `sameFile`: it is the file that was seen, so that no more than one entry is needed.
 */
export function match({ marks, seenAt }: Seen, life: Life, sameFile: boolean): { marks: number; firm: boolean } {
  let found = 0;
  let from = 0;
  let missing = false;
  let isOld = false;
  for (const { entry, name, at } of marks) {
    // A tool that renames a branch without writing so has left the log in its file.
    const fits = (mark: Mark) => mark.entry === entry && (sameFile || mark.name === name);
    const i = life.marks.findIndex((mark, k) => k >= from && fits(mark));
    if (i < 0) missing ||= at * 1000 > Date.now() - EXPIRES_MS;
    else {
      found++;
      from = i + 1;
      // Entries have whole seconds: what is written later within the same one may be equal to it.
      isOld ||= at * 1000 + SECOND_MS < seenAt;
    }
  }
  return { marks: found, firm: found > 0 && (sameFile || (isOld && !missing)) };
}

/** Whether the marks say nothing yet about branches that are made in the second in which they were written. */
export function isFresh({ marks, seenAt }: Seen): boolean {
  return marks.length > 0 && marks.every(({ at }) => at * 1000 + SECOND_MS >= seenAt);
}

/** Whether what was seen comes right before the log begins: nothing is between the two. */
export function continues({ name, tip, marks }: Omit<Seen, 'seenAt'>, life: Life): boolean {
  if (life.nameBefore === null)
    return life.wasUnborn && marks.length === 0 && tip === null && name === life.marks.at(-1)?.name;
  return life.nameBefore === name && life.commitBefore !== null && life.commitBefore === tip;
}

/** Nothing contradicts, and nothing proves it: entries have expired, or git keeps none. */
export function maybe({ name }: Seen, life: Life): boolean {
  return life.nameBefore !== null && (life.marks.length === 0 || life.nameBefore === name);
}

/** The names that a branch has had as far as its log goes back, the newest first. */
export function namesOf(name: string, { marks, nameBefore }: Life): string[] {
  const names = [name, ...marks.map((mark) => mark.name), ...(nameBefore === null ? [] : [nameBefore])];
  return names.filter((one, i) => one !== names[i - 1]);
}

/** What a branch was called at a time, in seconds; null: it was not yet. */
export function nameAt({ marks, nameBefore }: Life, at: number): string | null {
  return marks.find((mark) => mark.at <= at)?.name ?? nameBefore;
}
