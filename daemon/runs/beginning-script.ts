/** Whether a command is a script that will use the Python package, and has not initialised it yet. */
import { existsSync } from 'node:fs';
import type { SessionDirectory } from '../sessions/directory.ts';

export class BeginningScript {
  readonly #directory: SessionDirectory;
  #expected = false;
  #savesByItself = false;
  /** A pause was asked for that waits for its first step. */
  pauseWaits = false;

  constructor(directory: SessionDirectory) {
    this.#directory = directory;
  }

  /** Its text imports the package, or the checkpoint that it goes on from is of it. */
  expect(expected: boolean): void {
    this.#expected = expected;
  }

  /** It has printed metrics or saved a file without the package. */
  begunWithout(): void {
    this.#savesByItself = true;
  }

  get isBeginning(): boolean {
    return !this.#savesByItself && (this.#expected || existsSync(this.#directory.file('package')));
  }
}
