/** Messages about exports. */
import * as v from 'valibot';
import type { ExportFormat, ExportResult } from '../export.ts';
import { environment, request, root, task, text } from './request.ts';

/** Lists the formats for an export and why others are unavailable. `source`: a checkpoint, or a run (its newest checkpoint and its metrics). */
export const exportFormats = request<{ formats: ExportFormat[] }>()('export/formats', v.object({ root, source: text }));

/** Exports to `path`, which is absolute and must not exist unless `force` is set. */
export const exportWrite = request<ExportResult>()(
  'export/write',
  v.object({
    root,
    source: text,
    format: text,
    path: text,
    full: v.optional(v.boolean()),
    strip: v.optional(text),
    force: v.optional(v.boolean()),
    environment,
    /** Interpreter of the folder, for a leading `python`. */
    interpreter: v.optional(text),
    task,
  }),
);
