/**
 * Every error that crosses a process boundary: a code to act on, a message to read, data to look into.
 * Nobody matches message text. A message says what happened, what was kept safe, and what to do next.
 */
export interface ErrorData {
  /** `trainstash.json` or a module could not be used. */
  configInvalid: { file: string; line?: number; column?: number; suggestion?: string };
  jobUnknown: { job: string; known: string[]; suggestion?: string };
  paramUnknown: { param: string; known: string[]; suggestion?: string };
  paramInvalid: { param: string; expected: string };
  /** The program of a command cannot be found or started. */
  commandMissing: { program: string; searched: string[] };
  /** Only what Python runs directly can be debugged. */
  notPython: { program: string };
  /** Parts of a command look like secrets and were not kept: it has to be given again. */
  commandNotKept: { run: string; masked: number };
  /** The script saves by itself only: ending it now loses what it did since then. */
  pauseLoses: { run: string; step: number; checkpointStep: number | null; seconds: number };
  /** A file cannot be read as what it seems to be. */
  fileUnreadable: { path: string; problem: string };
  /** Of two checkpoints; the first names of each. */
  nothingInCommon: { names: [string[], string[]] };
  /** The checkpoint or run cannot be exported so; `available` are the formats that it can have. */
  formatUnavailable: { format: string; available: string[] };
  /** What makes the export could not; the end of what it said. */
  exportFailed: { output: string };
  /** There is something at that path already, and it was kept. */
  outputExists: { path: string };
  outputUnusable: { path: string; problem: string };
  /** A TensorFlow.js back end cannot be used on this machine, or by this project. */
  backendUnavailable: { backend: string; reason: string };
  /** The device said that an operation failed: what it computed since was thrown away. */
  deviceFailed: { backend: string; reason: string };
  tensorTooLarge: { tensor: string; bytes: number; maxBytes: number };
  moduleInvalid: { file: string; line?: number; problem: string };
  /** A name or id fits nothing. */
  notFound: { what: 'run' | 'checkpoint' | 'session' | 'project' | 'tag' | 'stash' | 'branch' | 'file'; query: string };
  /** An id's beginning fits several. */
  ambiguous: { what: 'run' | 'checkpoint' | 'stash'; query: string; matches: string[] };
  /** The run's status does not allow this. */
  wrongStatus: { run: string; status: string; allowed: string[] };
  /** The checkpoint's tensors are not the model's. */
  stateMismatch: { problems: StateProblem[] };
  /** What would be resumed differs from what the checkpoint was made with, and nobody accepted it yet. */
  preflightDiffers: { differences: PreflightDifference[] };
  /** Stored bytes do not fit their hash. */
  corrupted: { checkpoint?: string; chunk?: string; whole?: string };
  storeFull: { neededBytes: number; freeBytes: number };
  storeOwned: { host: string; pid: number; since: number };
  storeUnusable: { path: string; reason: string };
  /** The folder of this user's daemon cannot be made or written to. */
  stateUnusable: { path: string; reason: string };
  storeFromFuture: { path: string; found: number; supported: number };
  /** A database or folder of the store holds what Trainstash never puts there: nothing of it is used. */
  storeForeign: { path: string; found: string[] };
  /** The store was not made by this user on this machine, and nobody has said yet that it may be used. */
  storeElsewhere: { store: string; root: string };
  /** A name that was written down by somebody else leads out of the folder that it belongs into. */
  unsafeName: { name: string; folder: string; problem: string };
  protectedBy: { what: string; reasons: string[] };
  untrusted: { root: string };
  /**
   * git is there to be asked and does not answer for this folder's repository: so nothing is known of its branch, and
   * nothing is started. `said` is in git's own words.
   */
  gitUnusable: {
    path: string;
    reason:
      | 'missing'
      | 'tooOld'
      | 'hangs'
      | 'ownership'
      | 'permission'
      | 'pointsNowhere'
      | 'bare'
      | 'damaged'
      | 'environment';
    said: string;
  };
  /** Files of another branch are still in place, because these write into them. */
  switchWaiting: { inPlace: string; writers: string[] };
  /** The daemon speaks a newer protocol or runs a newer build than this client. */
  clientTooOld: { daemon: string; client: string };
  unauthorized: Record<string, never>;
  daemonUnavailable: { reason: string; log?: string };
  invalidParams: { method: string; problem: string };
  timeout: { afterMs: number };
  /** What an agent's session may start. */
  budgetSpent: { runs: number; hours: number | null };
  /** By whoever asked. */
  cancelled: Record<string, never>;
  /** Anything we did not foresee: a bug. */
  internal: { stack?: string };
}

export type ErrorCode = keyof ErrorData;

/** One tensor that keeps a checkpoint from being loaded. Shapes are in elements; null where the side has none. */
export interface StateProblem {
  tensor: string;
  checkpoint: number[] | null;
  model: number[] | null;
}

/** One thing that is not as it was when the checkpoint was made. */
export interface PreflightDifference {
  kind: 'code' | 'param' | 'package' | 'data' | 'device' | 'backend' | 'threads' | 'runtime' | 'script';
  /** The param's or package's name, the changed file; empty where the kind says it all. */
  name: string;
  checkpoint: string;
  current: string;
}

export class TrainstashError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'TrainstashError';
  readonly code: C;
  readonly data: ErrorData[C];

  constructor(code: C, message: string, data: ErrorData[C]) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** Narrows to one code, so that `error.data` has that code's type. */
export function isError<C extends ErrorCode>(error: unknown, code: C): error is TrainstashError<C> {
  return error instanceof TrainstashError && error.code === code;
}

/** How an error travels: plain data, since classes do not survive JSON or a worker's message. */
export interface WireError {
  code: ErrorCode;
  message: string;
  data: unknown;
}

export function toWire(error: unknown): WireError {
  if (error instanceof TrainstashError) return { code: error.code, message: error.message, data: error.data };
  const stack = error instanceof Error ? error.stack : undefined;
  const text = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message: `Unexpected: ${text}`, data: stack === undefined ? {} : { stack } };
}

export function fromWire(wire: WireError): TrainstashError {
  return new TrainstashError(wire.code, wire.message, wire.data as ErrorData[ErrorCode]);
}
