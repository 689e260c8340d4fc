/** Messages between `trainstash ui` and the shell of its pages, and how they are written. Both sides use this file. */
import * as v from 'valibot';

/** A question to the person. The answer names a button; `text` is the input or the chosen option. */
export interface Question {
  id: string;
  title: string;
  detail: string[];
  /** Text to edit; null: none is asked for. */
  input: string | null;
  options: { value: string; label: string }[];
  buttons: { value: string; label: string }[];
}

export type ToShell =
  | { kind: 'hello'; tab: string }
  | { kind: 'news'; news: unknown }
  | { kind: 'title'; text: string }
  | { kind: 'ask'; question: Question }
  /** `button`: an offer, such as Undo, that is answered as a question is. */
  | { kind: 'toast'; id: string; text: string; isError: boolean; button: string | null }
  | { kind: 'go'; to: string };

export const fromShell = v.variant('kind', [
  v.object({ kind: v.literal('said'), message: v.unknown() }),
  v.object({
    kind: v.literal('answer'),
    id: v.pipe(v.string(), v.maxLength(100)),
    button: v.nullable(v.pipe(v.string(), v.maxLength(100))),
    text: v.pipe(v.string(), v.maxLength(20_000)),
  }),
]);

/** Key of an object that stands for what JSON cannot hold. */
const MARK = '$';

/** Writes a message. Typed arrays, NaN and infinities survive. */
export function toText(message: unknown): string {
  return JSON.stringify(marked(message));
}

export function fromText(text: string): unknown {
  return unmarked(JSON.parse(text));
}

function marked(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return { [MARK]: 'number', value: String(value) };
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Float64Array) return { [MARK]: 'float64', value: base64(bytesOf(value)) };
  if (value instanceof Uint8Array) return { [MARK]: 'uint8', value: base64(value) };
  if (Array.isArray(value)) return value.map(marked);
  const plain = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, marked(inner)]));
  return Object.hasOwn(value, MARK) ? { [MARK]: 'object', value: Object.entries(plain) } : plain;
}

function unmarked(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(unmarked);
  const { [MARK]: mark, value: inner } = value as { [MARK]?: unknown; value?: unknown };
  if (mark === 'number') return Number(inner);
  if (mark === 'uint8') return bytesIn(inner as string);
  if (mark === 'float64') return new Float64Array(bytesIn(inner as string).buffer);
  const entries = mark === 'object' ? (inner as [string, unknown][]) : Object.entries(value);
  return Object.fromEntries(entries.map(([key, one]) => [key, unmarked(one)]));
}

function bytesOf(array: Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Size of the pieces that become arguments of one call. */
const PIECE = 0x2000;

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return btoa(text);
}

function bytesIn(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
