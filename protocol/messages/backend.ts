/** Messages about TensorFlow.js backends. */
import * as v from 'valibot';
import type { BackendFinding, UntriedBackend } from '../backends.ts';
import type { BackendName } from '../domain.ts';
import { environment, request, root } from './request.ts';

/**
 * Lists all backends. Each is tried on this machine unless that was done before; `again` repeats all trials. `auto` is the one
 * that a training would use. Loads packages of the project, and so fails with `untrusted` in an untrusted one, unless `ownOnly`.
 */
export const backendSurvey = request<{
  findings: BackendFinding[];
  auto: { backend: BackendName; reason: string };
  untried: UntriedBackend[];
}>()(
  'backend/survey',
  v.object({
    root,
    environment,
    again: v.optional(v.boolean()),
    /** True to load no packages of the folder itself; they are listed as `untried`. */
    ownOnly: v.optional(v.boolean()),
  }),
);
