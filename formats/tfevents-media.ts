/**
 * Reads images, histograms and texts of TensorBoard's event files, as TensorFlow 1 and 2 and PyTorch write them. Pure. Source of
 * the field numbers: framework/summary.proto, framework/histogram.proto, framework/tensor.proto.
 */
import type { Histogram, MediaKind } from '../protocol/media.ts';
import { FormatError } from './format-error.ts';
import { imageFacts } from './images.ts';
import { type Field, fieldsOf, textOf, viewOf } from './protobuf.ts';

export interface Medium {
  kind: MediaKind;
  content: Uint8Array;
}

/** Values of TensorFlow's enumeration of types. */
const DOUBLE = 2;
const STRING = 7;
/** Most bins that are kept: TensorBoard's own histograms have some hundreds, nearly all of them empty. */
const MOST_BINS = 200;
const MOST_IMAGES = 16;
const TEXT_BYTES = 64 << 10;

/** Reads a value of a summary that is no number; empty: it is damaged, or of a kind that nothing shows, such as sound. */
export function mediaOf(fields: readonly Field[]): Medium[] {
  try {
    return readMedia(fields);
  } catch (error) {
    // The numbers beside it are still good.
    if (error instanceof FormatError) return [];
    throw error;
  }
}

function readMedia(fields: readonly Field[]): Medium[] {
  let plugin = '';
  let tensor: Uint8Array | null = null;
  for (const { number, bytes } of fields) {
    if (!bytes) continue;
    if (number === 4) return imagesIn([bytesOf(bytes, 4)]);
    if (number === 5) return histogramIn(bytes);
    if (number === 8) tensor = bytes;
    if (number === 9) plugin = textOf(bytesOf(bytesOf(bytes, 1), 1)).slice(0, 100);
  }
  return tensor === null ? [] : ofTensor(tensor, plugin);
}

/** Returns the last field of a message that has bytes; none: nothing. */
function bytesOf(message: Uint8Array, wanted: number): Uint8Array {
  let found: Uint8Array = new Uint8Array(0);
  for (const { number, bytes } of fieldsOf(message)) if (number === wanted && bytes) found = bytes;
  return found;
}

function imagesIn(candidates: readonly Uint8Array[]): Medium[] {
  return candidates
    .slice(0, MOST_IMAGES)
    .flatMap((content) => (imageFacts(content) === null ? [] : [{ kind: 'image' as const, content }]));
}

function ofTensor(message: Uint8Array, plugin: string): Medium[] {
  let type = 0;
  const strings: Uint8Array[] = [];
  const doubles: number[] = [];
  for (const { number, varint, bytes } of fieldsOf(message)) {
    if (number === 1) type = Number(varint ?? 0n);
    else if (number === 8 && bytes && strings.length < MOST_IMAGES + 2) strings.push(bytes);
    else if ((number === 4 || number === 6) && bytes) addDoubles(doubles, bytes);
  }
  if (type === STRING && plugin === 'images') return imagesIn(strings.slice(2));
  if (type === STRING && plugin === 'text') return textIn(strings);
  // Each row is the left end, the right end, and how many values are between them.
  if (type !== DOUBLE || plugin !== 'histograms' || doubles.length < 3) return [];
  const limits: number[] = [];
  const counts: number[] = [];
  for (let i = 0; i + 2 < doubles.length; i += 3) {
    limits.push(doubles[i + 1]!);
    counts.push(doubles[i + 2]!);
  }
  return asMedium(binsOf(doubles[0]!, limits.at(-1)!, limits, counts));
}

function textIn(strings: readonly Uint8Array[]): Medium[] {
  if (strings.length === 0) return [];
  const text = strings.map(textOf).join('\n');
  return [{ kind: 'text', content: new TextEncoder().encode(text.slice(0, TEXT_BYTES)) }];
}

function histogramIn(message: Uint8Array): Medium[] {
  let [least, most] = [Number.NaN, Number.NaN];
  const limits: number[] = [];
  const counts: number[] = [];
  for (const { number, bytes } of fieldsOf(message)) {
    if (!bytes) continue;
    if (number === 1 && bytes.length === 8) least = viewOf(bytes).getFloat64(0, true);
    else if (number === 2 && bytes.length === 8) most = viewOf(bytes).getFloat64(0, true);
    else if (number === 6) addDoubles(limits, bytes);
    else if (number === 7) addDoubles(counts, bytes);
  }
  return asMedium(binsOf(least, most, limits, counts));
}

function addDoubles(into: number[], bytes: Uint8Array): void {
  if (bytes.length % 8 !== 0) throw new FormatError('a list of numbers in it breaks off');
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; at += 8) into.push(view.getFloat64(at, true));
}

/** Makes bins between the smallest and the largest value; null: nothing was counted. `limits` are the right ends. */
function binsOf(least: number, most: number, limits: readonly number[], counts: readonly number[]): Histogram | null {
  const filled = (count: number | undefined) => count !== undefined && count > 0 && Number.isFinite(count);
  const first = counts.findIndex(filled);
  const last = counts.findLastIndex(filled);
  if (first < 0 || last >= limits.length) return null;
  const inside = (value: number) => Math.min(Math.max(value, least), most);
  if (!Number.isFinite(least) || !Number.isFinite(most)) return null;
  const step = Math.ceil((last - first + 1) / MOST_BINS);
  const edges = [inside(first > 0 ? limits[first - 1]! : least)];
  const merged: number[] = [];
  for (let i = first; i <= last; i += step) {
    const end = Math.min(i + step - 1, last);
    edges.push(inside(limits[end]!));
    merged.push(counts.slice(i, end + 1).reduce((sum, count) => sum + (filled(count) ? count : 0), 0));
  }
  return edges.every(Number.isFinite) ? { edges, counts: merged, strange: 0 } : null;
}

function asMedium(histogram: Histogram | null): Medium[] {
  if (histogram === null) return [];
  return [{ kind: 'histogram', content: new TextEncoder().encode(JSON.stringify(histogram)) }];
}
