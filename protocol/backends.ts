/** What is known of a TensorFlow.js back end on this machine. */
import { BACKENDS, type BackendName } from './domain.ts';
import { TrainstashError } from './errors.ts';

/** The version of the npm package `webgpu` that this product was tried with. */
export const WEBGPU_VERSION = '0.6.2';

/** A package that lies in a folder that nobody trusts: it is known by its name alone. */
export interface UntriedBackend {
  backend: BackendName;
  from: string;
}

export interface BackendFinding {
  backend: BackendName;
  threads: number;
  /** Its npm package, where it is not in the product: the folder that it was found in. */
  from: string | null;
  /** The npm package that would bring it, and is not here. */
  missing: string | null;
  /** Device, driver, versions, as it says itself; empty while it was never started. */
  environment: Record<string, string>;
  /** Why it cannot be used, or not be trusted; null: it computes as plain JavaScript does. */
  problem: string | null;
  /** Of one step of a convolutional and one of a dense net; null where it was not timed. */
  stepMs: number | null;
  /** When it was tried; null: now known from its device only. */
  triedAt: number | null;
}

export function unknownBackend(wanted: string): TrainstashError<'paramInvalid'> {
  return new TrainstashError(
    'paramInvalid',
    `There is no back end "${wanted}". Known: auto, ${BACKENDS.join(', ')}. Nothing was started.`,
    { param: 'backend', expected: `auto, ${BACKENDS.slice(0, -1).join(', ')} or ${BACKENDS.at(-1)}` },
  );
}
