/** Reads the images, histograms, tables and texts that a run has logged, along its lineage. */
import * as v from 'valibot';
import { imageFacts } from '../../formats/images.ts';
import {
  histogramSchema,
  type MediaContent,
  type MediaKind,
  type MediaSeries,
  tableSchema,
} from '../../protocol/media.ts';
import { MEDIA_RULES } from '../../protocol/media-rules.ts';
import { readMedia, readMediaLines } from '../../session/media.ts';
import { type ProjectContext, sessionOf } from './context.ts';

/** Items of one answer: each is some 150 bytes of a message, which has at most a mebibyte. */
const PAGE = 5_000;
/** Bytes of an image in one answer, for the same reason. */
const PIECE = 512 << 10;

interface Segment {
  session: string;
  to: number;
}

/** Lists one page of all items, those of a name together. Of a step logged again the newest counts, as for metrics. */
export function listMedia(
  context: Pick<ProjectContext, 'place'>,
  segments: readonly Segment[],
  after: number,
): { series: MediaSeries[]; next: number | null } {
  const all = new Map<string, MediaSeries & { at: Map<number, number> }>();
  for (const { session, to } of segments) {
    for (const { name, kind, step, sum, bytes } of readMediaLines(sessionOf(context, session))) {
      if (step > to) continue;
      const key = `${kind} ${name}`;
      const series = all.get(key) ?? { name, kind, items: [], at: new Map<number, number>() };
      all.set(key, series);
      const item = { step, session, sum, bytes };
      const known = series.at.get(step);
      if (known === undefined) series.at.set(step, series.items.push(item) - 1);
      else series.items[known] = item;
    }
  }
  const sorted = [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { items } of sorted) items.sort((a, b) => a.step - b.step);
  return pageOf(sorted, after);
}

function pageOf(all: readonly MediaSeries[], after: number): { series: MediaSeries[]; next: number | null } {
  const series: MediaSeries[] = [];
  let at = 0;
  for (const { name, kind, items } of all) {
    const from = Math.max(0, after - at);
    const own = items.slice(from, Math.max(from, after + PAGE - at));
    if (own.length > 0) series.push({ name, kind, items: own });
    at += items.length;
  }
  return { series, next: after + PAGE < at ? after + PAGE : null };
}

/** Reads an item and checks that it is what it says: a session's folder may come from anywhere. */
export function readMediaItem(
  context: Pick<ProjectContext, 'place'>,
  { session, sum, kind, offset = 0 }: { session: string; sum: string; kind: MediaKind; offset?: number },
): { content: MediaContent | null; data: string; next: number | null } {
  const bytes = readMedia(sessionOf(context, session), sum);
  const content = bytes && contentOf(kind, bytes);
  if (!bytes || content?.kind !== 'image') return { content, data: '', next: null };
  const end = offset + PIECE;
  return { content, data: bytes.toString('base64', offset, end), next: end < bytes.length ? end : null };
}

function contentOf(kind: MediaKind, bytes: Buffer): MediaContent | null {
  if (kind === 'image') {
    const facts = imageFacts(bytes);
    return facts && facts.width * facts.height <= MEDIA_RULES.pixels ? { kind, ...facts } : null;
  }
  if (kind === 'text') return { kind, text: bytes.toString('utf8').slice(0, MEDIA_RULES.text) };
  const value = parsed(bytes);
  if (kind === 'histogram') {
    const found = v.safeParse(histogramSchema, value);
    return found.success ? { kind, histogram: found.output } : null;
  }
  const found = v.safeParse(tableSchema, value);
  if (!found.success) return null;
  const { columns, rows, total } = found.output;
  return { kind, table: { columns: columns.slice(0, MEDIA_RULES.columns), rows: fitting(rows), total } };
}

/** Returns as many rows as fit into a message. */
function fitting<T>(rows: readonly T[]): T[] {
  let bytes = 0;
  const end = rows.findIndex((row) => {
    bytes += JSON.stringify(row).length * 2;
    return bytes > PIECE;
  });
  return rows.slice(0, end < 0 ? MEDIA_RULES.rows : Math.min(end, MEDIA_RULES.rows));
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
