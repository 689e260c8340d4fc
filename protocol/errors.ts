/**
 * Errors that cross a process boundary: a code to act on, a message for people, and data for details. No code matches the
 * text of a message. A message says what happened, what was kept safe, and what to do next.
 */
export interface ErrorData {
  /** `trainstash.json` or a module cannot be used. */
  configInvalid: { file: string; line?: number; column?: number; suggestion?: string };
  jobUnknown: { job: string; known: string[]; suggestion?: string };
  paramUnknown: { param: string; known: string[]; suggestion?: string };
  paramInvalid: { param: string; expected: string };
  /** The program of a command cannot be found or started. */
  commandMissing: { program: string; searched: string[] };
  /** Inside the allocation of a scheduler the daemon may not start a training, since it is outside of it. */
  insideAllocation: { kind: string; job: string };
  /** The debugger works only for scripts that Python runs directly. */
  notPython: { program: string };
  /** Parts of a command look like secrets and were not kept, so the command has to be given again. */
  commandNotKept: { run: string; masked: number };
  /** A run of a notebook goes on in its kernel. */
  notebookGoesOn: { run: string; notebook: string | null };
  /** The script only saves by itself: ending it now loses the work since its last checkpoint. */
  pauseLoses: { question: string; run: string; step: number; checkpointStep: number | null; seconds: number };
  /** The GPUs that the run wants are held by others, or this machine does not have them (`never`). */
  deviceTaken: { wanted: string; never: boolean };
  /** Runs that only save by themselves are in the way of an urgent one. `checkpointStep` null: there is no checkpoint. */
  /** `mover`: why NVIDIA's `cuda-checkpoint` could not move them off their GPUs instead; null: it is not installed. */
  interruptLoses: {
    runs: { run: string; name: string; step: number; checkpointStep: number | null }[];
    mover: string | null;
  };
  /** A file cannot be read in the format it appears to have. */
  fileUnreadable: { path: string; problem: string };
  /** Two checkpoints have no tensor in common; `names` holds the first names of each. */
  nothingInCommon: { names: [string[], string[]] };
  /** The checkpoint or run cannot be exported in this format; `available` lists those that can be used. */
  formatUnavailable: { format: string; available: string[] };
  /** The exporter failed; `output` is the end of its output. */
  exportFailed: { output: string };
  /** The environment of the original code could not be made; `output` is the end of what the installer said. */
  environmentFailed: { output: string };
  /** The path exists already; it was left unchanged. */
  outputExists: { path: string };
  outputUnusable: { path: string; problem: string };
  /** A TensorFlow.js backend cannot be used on this machine, or by this project. */
  backendUnavailable: { backend: string; reason: string };
  /** The device reported a failed operation; everything computed since was discarded. */
  deviceFailed: { backend: string; reason: string };
  /** The library of a native backend has no memory left. */
  deviceMemory: { backend: string; kernel: string };
  /** A backend lacks an operation, or one form of it. */
  kernelUnsupported: { backend: string; kernel: string };
  tensorTooLarge: { tensor: string; bytes: number; maxBytes: number };
  moduleInvalid: { file: string; line?: number; problem: string };
  /** A name or id matches nothing. */
  notFound: {
    what:
      | 'run'
      | 'checkpoint'
      | 'session'
      | 'project'
      | 'tag'
      | 'stash'
      | 'branch'
      | 'file'
      | 'remote'
      | 'sweep'
      | 'engine';
    query: string;
  };
  /** A prefix of an id matches several. */
  ambiguous: { what: 'run' | 'checkpoint' | 'stash' | 'remote'; query: string; matches: string[] };
  /** The run's status does not allow this. */
  wrongStatus: { run: string; status: string; allowed: string[] };
  /** The checkpoint's tensors do not match the model's. */
  stateMismatch: { problems: StateProblem[] };
  /** The current code, params or environment differ from the checkpoint's, and nobody has accepted that yet. */
  preflightDiffers: { differences: PreflightDifference[] };
  /** Stored bytes do not match their hash. */
  corrupted: { checkpoint?: string; chunk?: string; whole?: string };
  storeFull: { neededBytes: number; freeBytes: number };
  storeOwned: { host: string; pid: number; since: number };
  storeUnusable: { path: string; reason: string };
  /** The project is on a network file system, and no local disk is known for its store. */
  storeOnNetwork: { path: string; network: string };
  /** The folder of this user's daemon cannot be created or written to. */
  stateUnusable: { path: string; reason: string };
  storeFromFuture: { path: string; found: number; supported: number };
  /** A database or folder of the store contains something that Trainstash never writes; nothing of it is used. */
  storeForeign: { path: string; found: string[] };
  /** The store was not created by this user on this machine, and nobody has accepted it yet. */
  storeElsewhere: { store: string; root: string };
  /** A name from outside leads out of the folder that it belongs to. */
  unsafeName: { name: string; folder: string; problem: string };
  protectedBy: { what: string; reasons: string[] };
  untrusted: { root: string };
  /**
   * git is installed but does not answer for this folder's repository, so the branch is unknown and nothing is started.
   * `said` is git's own message.
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
  /** Files of another branch are still in place because these runs write to them. */
  switchWaiting: { inPlace: string; writers: string[] };
  /** The URL or the name of a remote cannot be used. */
  remoteInvalid: { url: string; problem: string };
  /** The remote does not answer, or answers that it cannot now. */
  remoteUnreachable: { remote: string; reason: string };
  /** The remote refuses what was asked: credentials, permissions, a clock that is wrong, a host key that has changed. */
  remoteDenied: { remote: string; reason: string };
  /** The engine, or the way to it, does not answer. */
  engineUnreachable: { engine: string; reason: string };
  /** The engine refuses a job, in its own words. */
  engineRefused: { engine: string; reason: string };
  /** The run cannot be sent to this engine: a setting is missing, or the job is of a kind that runs here only. */
  engineUnusable: { engine: string; problem: string };
  /** A job wants a container, and no program here runs one; the reason of each that was tried. */
  containerUnusable: { image: string; problem: string };
  /** The run is seen alive on another engine, or here. */
  trainsElsewhere: { run: string; place: string };
  /** The remote has no room left. */
  remoteFull: { remote: string };
  /** The folder or bucket of the remote is not there, or is empty. */
  remoteGone: { remote: string; place: string };
  /** The place is not this remote: another project's, or another one since; or no remote at all. */
  remoteForeign: { remote: string; found: string };
  /** The remote is encrypted, and its key is missing, or is another one; or it is not, and was to be. */
  remoteSealed: { remote: string; reason: string };
  /** An object of the remote is missing, or is not what its name or its description says. */
  remoteDamaged: { remote: string; object: string };
  /** The daemon speaks a newer protocol or runs a newer build than this client. */
  clientTooOld: { daemon: string; client: string };
  unauthorized: Record<string, never>;
  daemonUnavailable: { reason: string; log?: string };
  invalidParams: { method: string; problem: string };
  timeout: { afterMs: number };
  /** The limit of what an agent's session may start is reached. */
  budgetSpent: { runs: number; hours: number | null };
  /** A sweep has so many runs that a person is asked first. */
  sweepLarge: { runs: number };
  /** Optuna is not installed in any Python of the project (`said` null), or does not work. */
  samplerMissing: { tried: string[]; said: string | null };
  /** The requester cancelled the operation. */
  cancelled: Record<string, never>;
  /** Any unforeseen error: a bug. */
  internal: { stack?: string };
}

export type ErrorCode = keyof ErrorData;

/** One tensor that prevents loading a checkpoint. Shapes are in elements; null: that side does not have the tensor. */
export interface StateProblem {
  tensor: string;
  checkpoint: number[] | null;
  model: number[] | null;
}

/** One difference from the state in which the checkpoint was made. */
export interface PreflightDifference {
  kind: 'code' | 'param' | 'package' | 'data' | 'device' | 'backend' | 'threads' | 'runtime' | 'script' | 'machine';
  /** Name of the param, package or changed file; empty if the kind says it all. */
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

/** Plain form in which an error travels, since classes do not survive JSON or a worker's message. */
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
