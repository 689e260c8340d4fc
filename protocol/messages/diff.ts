/** Messages about differences, and the code of runs. */
import * as v from 'valibot';
import type { CodeSince, Diff, WeightsDiff } from '../diff.ts';
import { count, request, root, task, text } from './request.ts';

/** Compares `sides`: runs, checkpoints (`RUN@STEP`), or one `main..idea` for the best runs of two branches. */
export const diffShow = request<Diff>()(
  'diff/show',
  v.object({
    root,
    sides: v.pipe(v.array(text), v.maxLength(8)),
    /** Axis by which curves are aligned; absent: steps. */
    axis: v.optional(v.picklist(['step', 'epoch', 'time'])),
  }),
);

/** Compares the tensors of two checkpoints (for a run: its newest). `mapping`: name prefixes that differ in the second. */
export const diffWeights = request<WeightsDiff>()(
  'diff/weights',
  v.object({
    root,
    sides: v.pipe(v.array(text), v.minLength(1), v.maxLength(2)),
    mapping: v.optional(v.pipe(v.array(v.object({ from: text, to: text })), v.maxLength(100))),
    task,
  }),
);

/** Reads a file of a code snapshot in base64, from `offset` on; empty past its end. `code` is that of `DiffSide`. */
export const codeRead = request<{ bytes: string; size: number }>()(
  'code/read',
  v.object({ root, code: v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/)), path: text, offset: v.optional(count) }),
);

/** Compares the code of a run with that in the tree now. */
export const codeSince = request<CodeSince>()('code/since', v.object({ root, run: text }));

/** Writes all files of a code snapshot to a new folder. `leftOut`: files that were too large to keep. */
export const codeRestore = request<{ directory: string; files: number; leftOut: string[] }>()(
  'code/restore',
  v.object({ root, source: text, directory: text }),
);
