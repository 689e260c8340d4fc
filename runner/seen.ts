/**
 * Remembers the state of session files that need no further look: those from before the session, and those that were
 * taken or rejected. Stored in the session directory, so that a process that takes leftovers knows them, too.
 */
import { appendFileSync, readFileSync, utimesSync } from 'node:fs';
import { type FoundState, stateOf } from '../session/groups.ts';

/** A checkpoint that was taken, with the facts needed to complete or relabel it. */
export interface TakenGroup {
  key: string;
  id: string;
  parent: string | null;
  step: number;
  epoch: number;
  /** The time when it was first taken. */
  at: number;
  /** The states of its files, by path. */
  files: Record<string, string>;
  /** Unchanged files of earlier checkpoints under the same key. */
  older: Record<string, string>;
}

export class SeenFiles {
  readonly #path: string;
  readonly #states = new Map<string, string>();
  readonly #taken = new Map<string, TakenGroup>();
  #lines: string[] = [];
  /** True if all files from before the session are known. */
  isComplete = false;

  /** Continues from the stored file; a truncated last line is ignored. */
  constructor(path: string) {
    this.#path = path;
    for (const line of linesOf(path)) {
      const entry = parse(line);
      if (entry?.begun) this.isComplete = true;
      else if (entry?.taken) this.#taken.set(entry.taken.key, entry.taken);
      else if (entry?.path !== undefined) this.#states.set(entry.path, entry.state ?? '');
    }
  }

  /** Records files from before the session; none of them is ever taken in its present state. */
  begin(files: readonly FoundState[]): void {
    for (const file of files) this.add(file);
    this.#lines.push(JSON.stringify({ begun: true }));
    this.isComplete = true;
    this.write();
  }

  has(file: FoundState): boolean {
    return this.#states.get(file.path) === stateOf(file);
  }

  add(file: FoundState): void {
    if (this.has(file)) return;
    const state = stateOf(file);
    this.#states.set(file.path, state);
    this.#lines.push(JSON.stringify({ path: file.path, state }));
  }

  taken(key: string): TakenGroup | undefined {
    return this.#taken.get(key);
  }

  recordTaken(taken: TakenGroup): void {
    this.#taken.set(taken.key, taken);
    this.#lines.push(JSON.stringify({ taken }));
  }

  /**
   * Appends the new lines; what a full disk refuses waits for the next call. The file's time also serves as a sign of
   * life.
   */
  write(): void {
    try {
      if (this.#lines.length === 0) touch(this.#path);
      else appendFileSync(this.#path, `\n${this.#lines.join('\n')}\n`, { mode: 0o600 });
      this.#lines = [];
    } catch {
      // A later process then knows less, but still takes nothing from before the session.
    }
  }
}

function touch(path: string): void {
  const now = new Date();
  utimesSync(path, now, now);
}

interface Entry {
  begun?: boolean;
  path?: string;
  state?: string;
  taken?: TakenGroup;
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function parse(line: string): Entry | null {
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return null;
  }
}
