/** Words between a process that looks into files and whoever asks it. One request at a time. */

export interface Limits {
  ms: number;
  /** Of processor time: beside a training that uses all of it, time passes while nothing is done. */
  processorMs?: number;
  /** Of the whole process: its heap, its buffers, its libraries. */
  bytes: number;
}

/** How the process runs; the first argument of its command line, as JSON. */
export interface ProcessSetup {
  /** Bundle of the thread inside that does the work. */
  thread: string;
  /** Of the thread's heap. */
  heapMebibytes: number;
  /** As `os.setPriority` takes it: above 0 others go first. */
  niceness: number;
}

export type ToProcess =
  | { say: 'request'; id: number; request: unknown; limits: Limits }
  | { say: 'bytes'; bytes: Uint8Array }
  | { say: 'noBytes'; problem: string };

export type FromProcess =
  | { say: 'read'; id: number; offset: number; length: number }
  | { say: 'part'; id: number; part: unknown }
  | { say: 'done'; id: number; result: unknown; residentBytes: number }
  | { say: 'failed'; id: number; failure: Failure; residentBytes: number };

/** `problem` goes on from "… cannot be read: ". */
export interface Failure {
  kind: 'unreadable' | 'changed' | 'time' | 'memory' | 'died';
  problem: string;
}

/** Words between the process's own thread and the one that works. */
export type ToThread = { request: unknown; id: number };
export type FromThread =
  | { say: 'read'; id: number; offset: number; length: number }
  | { say: 'part'; id: number; part: unknown }
  | { say: 'done'; id: number; result: unknown }
  | { say: 'failed'; id: number; failure: Failure };
/** Answer to a read, on a port of its own, so that a thread that sleeps finds nothing else there. */
export type ReadAnswer = { bytes: Uint8Array } | { problem: string };

export interface ThreadSetup {
  /** Where answers to reads come. */
  reads: import('node:worker_threads').MessagePort;
  /** Raised by one with each of them. */
  signal: Int32Array<SharedArrayBuffer>;
}
