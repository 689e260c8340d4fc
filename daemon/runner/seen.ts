/**
 * The files of a session that need no more looking at, as they were: those that were there before it, and those that it
 * has taken or set aside. Kept in its directory, so that whoever looks after the runner's end knows them, too.
 */
import { appendFileSync, readFileSync, utimesSync } from 'node:fs';
import { type FoundState, stateOf } from './groups.ts';

/** A checkpoint that was taken: what is needed to complete it, or to give it another label. */
export interface TakenGroup {
  key: string;
  id: string;
  parent: string | null;
  step: number;
  epoch: number;
  /** When it was taken first. */
  at: number;
  /** Its files, as they were. */
  files: Record<string, string>;
  /** Files of earlier ones under the same name that have not been written since. */
  older: Record<string, string>;
}

export class Seen {
  readonly #path: string;
  readonly #states = new Map<string, string>();
  readonly #taken = new Map<string, TakenGroup>();
  #lines: string[] = [];
  /** Whether all that was there before the session is known. */
  isComplete = false;

  /** Goes on from what the file holds; a line that broke off is the last one, and tells nothing. */
  constructor(path: string) {
    this.#path = path;
    for (const line of linesOf(path)) {
      const entry = parse(line);
      if (entry?.begun) this.isComplete = true;
      else if (entry?.taken) this.#taken.set(entry.taken.key, entry.taken);
      else if (entry?.path !== undefined) this.#states.set(entry.path, entry.state ?? '');
    }
  }

  /** These were there before: none of them is ever taken as it is. */
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

  take(taken: TakenGroup): void {
    this.#taken.set(taken.key, taken);
    this.#lines.push(JSON.stringify({ taken }));
  }

  /** What a full disk does not take waits for the next time. Also a sign of life. */
  write(): void {
    try {
      if (this.#lines.length === 0) touch(this.#path);
      else appendFileSync(this.#path, `\n${this.#lines.join('\n')}\n`, { mode: 0o600 });
      this.#lines = [];
    } catch {
      // Who looks later knows less, and takes nothing that was there before.
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
