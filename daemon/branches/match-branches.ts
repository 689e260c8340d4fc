/** Matches known branches with those that exist now. Pure: it reports unproven matches instead of deciding them. */
import { continues, type Life, matchMarks, mayContinue, type Seen } from './same-branch.ts';

/**
 * File identities of a branch: its reflog, which git renames with it, and its reference, which each change rewrites.
 */
export interface FileIds {
  /** Empty: there is none, or it is packed. */
  logFile: string;
  refFile: string;
}

/** A branch that exists now, with everything known about it. */
export interface Ref extends FileIds {
  name: string;
  tip: string;
  /** Stamp of its files at the time of reading. */
  stamp: string;
  life: Life;
}

export interface Matches<E> {
  certain: Map<E, Ref>;
  /** A branch of that name exists, but something contradicts that it is the same. */
  unsure: Set<E>;
  /** Candidates that nothing proves and nothing contradicts, and that match no other entry. */
  open: Map<E, Ref[]>;
}

interface Candidate<E> {
  entry: E;
  ref: Ref;
  /**
   * Number of the entry's marks that the reflog has. Single marks of two branches that were renamed within the same
   * second can be equal.
   */
  marks: number;
  sameFile: boolean;
}

/** Assigns each reference to the entry that fits best. Where two fit equally well, neither gets it. */
export function matchBranches<E extends Seen & FileIds>(entries: readonly E[], refs: readonly Ref[]): Matches<E> {
  const { candidates, possible, doubtful } = candidatesOf(entries, refs);
  const byFit = (a: Candidate<E>, b: Candidate<E>) => b.marks - a.marks || Number(b.sameFile) - Number(a.sameFile);
  // Among equals the entry that was seen first wins: the sort keeps the order of `entries`.
  candidates.sort(byFit);
  const certain = new Map<E, Ref>();
  const unsure = new Set<E>();
  const assigned = new Set<Ref>();
  for (const candidate of candidates) {
    const { entry, ref } = candidate;
    if (certain.has(entry) || unsure.has(entry) || assigned.has(ref)) continue;
    const rival = candidates.find((one) => one.entry === entry && one.ref !== ref && !assigned.has(one.ref));
    if (rival && byFit(candidate, rival) === 0) unsure.add(entry);
    else {
      certain.set(entry, ref);
      assigned.add(ref);
    }
  }
  const isOpen = (entry: E) => !certain.has(entry) && !unsure.has(entry);
  for (const [entry, ref] of doubtful)
    if (isOpen(entry) && ref.name === entry.name && !assigned.has(ref)) unsure.add(entry);
  const open = new Map<E, Ref[]>();
  for (const [entry, fitting] of possible) {
    const left = fitting.filter((ref) => !assigned.has(ref));
    if (isOpen(entry) && left.length > 0) open.set(entry, left);
  }
  return { certain, unsure, open };
}

function candidatesOf<E extends Seen & FileIds>(entries: readonly E[], refs: readonly Ref[]) {
  const holders = new Map<string, Ref[]>();
  for (const ref of refs)
    for (const { entry } of ref.life.marks) holders.set(entry, [...(holders.get(entry) ?? []), ref]);
  const candidates: Candidate<E>[] = [];
  const possible = new Map<E, Ref[]>();
  const doubtful = new Map<E, Ref>();
  for (const entry of entries) {
    const found = new Set<Ref>();
    const add = (ref: Ref, marks: number) => {
      found.add(ref);
      candidates.push({ entry, ref, marks, sameFile: isSame(entry.logFile, ref.logFile) });
    };
    for (const ref of new Set(entry.marks.flatMap((mark) => holders.get(mark.entry) ?? []))) {
      const { marks, firm } = matchMarks(entry, ref.life, isSame(entry.logFile, ref.logFile));
      if (firm) add(ref, marks);
      else if (marks > 0) doubtful.set(entry, ref);
    }
    for (const ref of refs) {
      if (found.has(ref)) continue;
      const isPossible = mayContinue(entry, ref.life);
      // The reference has not been written since.
      const isUnwritten = ref.name === entry.name && isSame(entry.refFile, ref.refFile);
      if (continues(entry, ref.life) || (isPossible && isUnwritten)) add(ref, 0);
      else if (isPossible) possible.set(entry, [...(possible.get(entry) ?? []), ref]);
    }
  }
  return { candidates, possible, doubtful };
}

function isSame(a: string, b: string): boolean {
  return a !== '' && a === b;
}
