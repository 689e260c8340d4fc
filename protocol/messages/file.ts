/** Messages about files on the disk. */
import * as v from 'valibot';
import type { FileInspection } from '../domain.ts';
import { count, request, text } from './request.ts';

/**
 * Lists the contents of a checkpoint file in pages. Nothing in it is executed. `path` is absolute; `statistics` cover the tensors
 * of the page; `filter` is a part of names, case-insensitive; `limit` bounds the tensors of the page.
 */
export const fileInspect = request<FileInspection>()(
  'file/inspect',
  v.object({
    path: text,
    statistics: v.optional(v.boolean()),
    filter: v.optional(text),
    limit: v.optional(count),
    after: v.optional(v.object({ tensors: count, values: count, classes: count, stamp: text })),
  }),
);
