/** Results of trying the TensorFlow.js backends on this machine. */
import { BACKENDS, type BackendName } from './domain.ts';
import { TrainstashError } from './errors.ts';

/** Version of the npm package `webgpu` that Trainstash is tested with. */
export const WEBGPU_VERSION = '0.6.2';

/** Backend package in a folder that is not trusted: it was not loaded, so only its name is known. */
export interface UntriedBackend {
  backend: BackendName;
  from: string;
}

export interface BackendFinding {
  backend: BackendName;
  threads: number;
  /** Folder of the npm package that provides the backend; null: the backend is bundled. */
  from: string | null;
  /** npm package that would provide the backend but is not installed. */
  missing: string | null;
  /** Device, driver and versions as the backend reports them; empty if it was never started. */
  environment: Record<string, string>;
  /** Reason why the backend cannot be used or trusted; null: its results match plain JavaScript. */
  problem: string | null;
  /** Time of one step of a convolutional net plus one of a dense net; null: not timed. */
  stepMs: number | null;
  /** Operations of the trial that the backend lacks. A model that needs one is refused with its name. */
  unsupported: string[];
  /** Time of the trial; null: only the device was identified. */
  triedAt: number | null;
}

export function unknownBackend(wanted: string): TrainstashError<'paramInvalid'> {
  return new TrainstashError(
    'paramInvalid',
    `There is no backend "${wanted}". Known: auto, ${BACKENDS.join(', ')}. Nothing was started.`,
    { param: 'backend', expected: `auto, ${BACKENDS.slice(0, -1).join(', ')} or ${BACKENDS.at(-1)}` },
  );
}
