/** Ways to the folder of an engine, and to the commands there: on this machine, or through `ssh`. */

/** Time after which NFS has looked anew at everything that it has cached: a minute for folders, by default. */
export const NETWORK_LAG_MS = 75_000;

export interface Entry {
  name: string;
  isFolder: boolean;
  bytes: number;
  /** Time of the last change, by the clock of the file system. */
  changedAt: number;
}

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Paths are absolute; `~/` stands for the home folder there. All reject with `engineUnreachable` when the way is cut. */
export interface Reach {
  /** Runs a program there, without a shell. `code` is null if it could not be started. */
  run(
    words: readonly string[],
    options?: { input?: string; environment?: Readonly<Record<string, string>>; timeoutMs?: number },
  ): Promise<Ran>;
  /** Longest time in milliseconds until a change by another machine is seen here: network file systems cache. */
  lagOf(path: string): number;
  /** Resolves `~/`, and makes the folder if it is missing. */
  folder(path: string): Promise<string>;
  /** Lists a folder; empty if there is none. */
  list(path: string): Promise<Entry[]>;
  /** Tells by a text whether some files of a folder have changed. Missing where it would take as long as `list`. */
  glance?(folder: string, names: readonly string[]): Promise<string>;
  /** Returns null where nothing is. */
  stat(path: string): Promise<Entry | null>;
  /** Reads at most `limit` bytes from an offset on; null if there is no such file. */
  read(path: string, offset: number, limit: number): Promise<Buffer | null>;
  /** Writes a file that appears complete, or not at all; makes its folder. */
  write(path: string, bytes: Uint8Array | string): Promise<void>;
  /** Copies a folder of this machine to a new one there, which appears complete, or not at all. Does nothing if it is there. */
  upload(local: string, path: string): Promise<void>;
  /** Copies a folder from there to a new one here. Returns false if it was removed meanwhile. */
  download(path: string, local: string): Promise<boolean>;
  remove(path: string): Promise<void>;
  close(): void;
}
