/** A script at its beginning: it will use the Python package, but has not initialised it yet. */
import { existsSync } from 'node:fs';
import type { SessionDirectory } from '../../../session/directory.ts';

export class BeginningScript {
  readonly #directory: SessionDirectory;
  #expected = false;
  #savesByItself = false;
  /** The user asked for a pause, which waits for the script's first step. */
  pauseWaits = false;

  constructor(directory: SessionDirectory) {
    this.#directory = directory;
  }

  /**
   * Sets whether the script is expected to use the package: its text imports it, or the checkpoint to resume from
   * belongs to it.
   */
  expect(expected: boolean): void {
    this.#expected = expected;
  }

  /** Records that the script has printed metrics or saved a file without the package. */
  savedWithoutPackage(): void {
    this.#savesByItself = true;
  }

  get isBeginning(): boolean {
    return !this.#savesByItself && (this.#expected || existsSync(this.#directory.file('package')));
  }
}
