/** Messages between an inspector process and its client. One request at a time. */

export interface Limits {
  ms: number;
  /** Limit of processor time: next to a training that uses all of it, time passes while nothing is done. */
  processorMs?: number;
  /** Limit of the whole process: its heap, its buffers, its libraries. */
  bytes: number;
}

/** Setup of the process: the first argument of its command line, as JSON. */
export interface ProcessSetup {
  /** Bundle of the thread that does the work. */
  thread: string;
  /** Size of the thread's heap. */
  heapMebibytes: number;
  /** Value for `os.setPriority`: above 0 others have priority. */
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

/** Failure; `problem` continues the sentence "… cannot be read: ". */
export interface Failure {
  kind: 'unreadable' | 'changed' | 'time' | 'memory' | 'died';
  problem: string;
}

/** Messages between the process's main thread and the working thread. */
export type ToThread = { request: unknown; id: number };
export type FromThread =
  | { say: 'read'; id: number; offset: number; length: number }
  | { say: 'part'; id: number; part: unknown }
  | { say: 'done'; id: number; result: unknown }
  | { say: 'failed'; id: number; failure: Failure };
/** Answer to a read, on a separate port, so that a sleeping thread receives nothing else there. */
export type ReadAnswer = { bytes: Uint8Array } | { problem: string };

export interface ThreadSetup {
  /** Port for the answers to reads. */
  reads: import('node:worker_threads').MessagePort;
  /** Counter that each answer raises by one. */
  signal: Int32Array<SharedArrayBuffer>;
}
