/**
 * Tells whether a branch is one that was seen before, whatever its name was then. The name proves nothing: `git branch
 * -m main dev` frees `main` for another branch. The reflog does: git renames it with the branch and records the rename
 * in it, removes it with the branch, and starts a new one for a new branch. Pure.
 */
import { createHash } from 'node:crypto';
import { type ReflogEntry, renamedBy } from '../code/reflog.ts';

/**
 * Number of newest entries kept as marks. Old entries expire, those of abandoned commits first; one that is found again
 * is enough.
 */
const MARKS = 8;
const DIGEST_LENGTH = 16;
/** git's default expiry for abandoned commits; the entries of other commits live three times as long. */
const EXPIRES_MS = 30 * 86_400_000;
const SECOND_MS = 1_000;

/** An entry of a branch's reflog, and the name that the branch had after it was written. */
export interface Mark {
  entry: string;
  name: string;
  /** Time of writing, in seconds. */
  at: number;
}

/** History of a branch as its reflog tells it. */
export interface Life {
  /** Newest first, back to the creation of the branch. */
  marks: readonly Mark[];
  /** Name that the branch had before the reflog begins; null: the reflog begins with the branch. */
  nameBefore: string | null;
  /** Commit that the branch had before the reflog begins. */
  commitBefore: string | null;
  /** The reflog begins with a first commit: a branch without commits has no reflog. */
  wasUnborn: boolean;
}

/** Recorded identity of a branch. */
export interface Seen {
  name: string;
  /** Commit of the branch; null before the first one. */
  tip: string | null;
  /** Newest first; none where git keeps no reflog. */
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

/** Selects the marks to keep, so that the branch is recognised later. */
export function marksOf({ marks }: Life): Mark[] {
  // The first entry outlives those of abandoned commits.
  return marks.length > MARKS ? [...marks.slice(0, MARKS), marks.at(-1)!] : [...marks];
}

/**
 * Counts the marks that the reflog still has. `firm`: it has all that cannot have expired, and one that no reflog of a
 * later branch can have. `sameFile`: it is the file that was seen, so that one mark is enough.
 */
export function matchMarks({ marks, seenAt }: Seen, life: Life, sameFile: boolean): { marks: number; firm: boolean } {
  let found = 0;
  let from = 0;
  let missing = false;
  let isOld = false;
  for (const { entry, name, at } of marks) {
    // A tool that renames a branch without recording it has left the reflog in its file.
    const fits = (mark: Mark) => mark.entry === entry && (sameFile || mark.name === name);
    const i = life.marks.findIndex((mark, k) => k >= from && fits(mark));
    if (i < 0) missing ||= at * 1000 > Date.now() - EXPIRES_MS;
    else {
      found++;
      from = i + 1;
      // Entries have a resolution of a second: a later one within the same second may be equal.
      isOld ||= at * 1000 + SECOND_MS < seenAt;
    }
  }
  return { marks: found, firm: found > 0 && (sameFile || (isOld && !missing)) };
}

/** Tells whether the marks do not yet exclude branches that are created in the second in which they were written. */
export function isFresh({ marks, seenAt }: Seen): boolean {
  return marks.length > 0 && marks.every(({ at }) => at * 1000 + SECOND_MS >= seenAt);
}

/** Tells whether the recorded state comes right before the reflog begins, with nothing in between. */
export function continues({ name, tip, marks }: Omit<Seen, 'seenAt'>, life: Life): boolean {
  if (life.nameBefore === null)
    return life.wasUnborn && marks.length === 0 && tip === null && name === life.marks.at(-1)?.name;
  return life.nameBefore === name && life.commitBefore !== null && life.commitBefore === tip;
}

/** Tells whether a match is possible but unproven: entries have expired, or git keeps none. */
export function mayContinue({ name }: Seen, life: Life): boolean {
  return life.nameBefore !== null && (life.marks.length === 0 || life.nameBefore === name);
}

/** Lists the names that a branch has had as far as its reflog goes back, the newest first. */
export function namesOf(name: string, { marks, nameBefore }: Life): string[] {
  const names = [name, ...marks.map((mark) => mark.name), ...(nameBefore === null ? [] : [nameBefore])];
  return names.filter((one, i) => one !== names[i - 1]);
}

/** Returns the name of a branch at a time in seconds; null: the branch did not exist yet. */
export function nameAt({ marks, nameBefore }: Life, at: number): string | null {
  return marks.find((mark) => mark.at <= at)?.name ?? nameBefore;
}
