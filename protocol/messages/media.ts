/** Messages about images, histograms, tables and texts of runs. */
import * as v from 'valibot';
import type { MediaContent, MediaSeries } from '../media.ts';
import { idSchema } from '../session.ts';
import { count, request, root, text } from './request.ts';

/** Lists what a run has logged, along its lineage. A long answer comes in pages: a series may go on in the next one. */
export const mediaList = request<{ series: MediaSeries[]; next: number | null }>()(
  'media/list',
  v.object({ root, run: text, after: v.optional(count) }),
);

/**
 * Reads one item. `content` says what it is, once it was checked; null: it is gone, damaged, or not what it says. Of an image
 * the bytes from `offset` on come with it, in base64; `next` is where the rest begins.
 */
export const mediaRead = request<{ content: MediaContent | null; data: string; next: number | null }>()(
  'media/read',
  v.object({
    root,
    session: idSchema,
    sum: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    kind: v.picklist(['image', 'histogram', 'table', 'text']),
    offset: v.optional(count),
  }),
);
