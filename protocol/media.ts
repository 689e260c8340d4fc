/** Images, histograms, tables and texts that a run logs at its steps. */
import * as v from 'valibot';

export const MEDIA_KINDS = ['image', 'histogram', 'table', 'text'] as const;
export type MediaKind = (typeof MEDIA_KINDS)[number];

/** Line of a session's `media.ndjson`. The content is in the file `media/<sum>`, once for all lines that have it. */
export const mediaLineSchema = v.object({
  t: v.number(),
  step: v.pipe(v.number(), v.safeInteger()),
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  kind: v.picklist(MEDIA_KINDS),
  sum: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
export type MediaLine = v.InferOutput<typeof mediaLineSchema>;

/** One thing at one step of a run. */
export interface MediaItem {
  step: number;
  /** Session that has the content. */
  session: string;
  sum: string;
  bytes: number;
}

/** All that a run has logged under a name, by step. */
export interface MediaSeries {
  name: string;
  kind: MediaKind;
  items: MediaItem[];
}

/** Distribution of the values of an array: `counts[i]` of them are between `edges[i]` and `edges[i + 1]`. */
export const histogramSchema = v.object({
  edges: v.pipe(v.array(v.number()), v.maxLength(1_001)),
  counts: v.pipe(v.array(v.number()), v.maxLength(1_000)),
  /** Number of values that are NaN or infinite, which are in no bin. */
  strange: v.optional(v.number(), 0),
});
export type Histogram = v.InferOutput<typeof histogramSchema>;

const cell = v.union([v.string(), v.number(), v.boolean(), v.null()]);
export const tableSchema = v.object({
  columns: v.pipe(v.array(v.string()), v.maxLength(1_000)),
  rows: v.pipe(v.array(v.array(cell)), v.maxLength(10_000)),
  /** Number of rows that it had; more than are kept if it was cut. */
  total: v.number(),
});
export type Table = v.InferOutput<typeof tableSchema>;

/** Content of an item, checked: an image is one of four formats, with a size that a page can draw. */
export type MediaContent =
  | { kind: 'image'; type: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp'; width: number; height: number }
  | { kind: 'histogram'; histogram: Histogram }
  | { kind: 'table'; table: Table }
  | { kind: 'text'; text: string };
