/** Strings of a script that name a checkpoint: paths of files, and what a script resumes from. */
import { ARRAY_ENDINGS, endingIn, STATE_ENDINGS } from '../../../protocol/checkpoint-endings.ts';
import { keyOf } from './flow.ts';
import type { Constant, Module } from './nodes.ts';
import { walk } from './nodes.ts';
import { isInit } from './syntax.ts';

const ENDINGS = [...STATE_ENDINGS, ...ARRAY_ENDINGS, 'bin'];
const IN_NAME = endingIn(ENDINGS);
const IN_TEXT = endingIn(ENDINGS, '["\']');
const ADAPTERS = new Set(['trainstash.attach', 'trainstash.keras', 'trainstash.paddle']);
/** Number of strings above which a script is rather data. */
const MOST = 2_000;

export interface CheckpointString {
  /** Offsets of the text between the quotes. */
  from: number;
  to: number;
  text: string;
  /** True for the value of `resume=`. */
  isResume: boolean;
}

export function isCheckpointName(name: string): boolean {
  return IN_NAME.test(name);
}

/** Tells cheaply whether a text may have such a string. */
export function mayHoldStrings(text: string): boolean {
  return IN_TEXT.test(text);
}

export function checkpointStringsOf(module: Module): CheckpointString[] {
  const resumes = new Set<Constant>();
  const found: CheckpointString[] = [];
  for (const node of walk(module)) {
    if (node.kind === 'Call' && (isInit(node) || ADAPTERS.has(keyOf(node.func) ?? '')))
      for (const { arg, value } of node.keywords) if (arg === 'resume' && value.kind === 'Constant') resumes.add(value);
    if (node.kind !== 'Constant' || found.length >= MOST) continue;
    const isResume = resumes.has(node);
    const content = contentOf(node);
    if (content && (isResume || isCheckpointName(content.text))) found.push({ ...content, isResume });
  }
  return found;
}

/** Returns what stands between the quotes; null: it is no string, or one with escapes, whose text is another. */
function contentOf({ text, from }: Constant): Omit<CheckpointString, 'isResume'> | null {
  // While it is being typed it has no end.
  const parts = /^([rRuU]?)("""|'''|"|')(.*?)(\2)?$/s.exec(text);
  if (!parts) return null;
  const [, prefix, quote, content] = parts as unknown as [string, string, string, string];
  if (content.includes('\n') || (content.includes('\\') && !/r/i.test(prefix))) return null;
  const begin = from + prefix.length + quote.length;
  return { from: begin, to: begin + content.length, text: content };
}
