/** Finds the script that a command starts, by its words. Pure. */
import { isPython } from '../../../base/python-words.ts';

export interface ScriptWord {
  /** Position among the words. */
  index: number;
  /** A file's path, or a module's dotted name. */
  kind: 'file' | 'module';
  name: string;
}

const SCRIPT = /\.(py|sh|js|mjs|ts|jl|R)$/;
/** Options of Python whose value is a word of its own. */
const WITH_VALUE = /^-[XW]$/;

/** Returns the script's word; null: the command names none, as `python -c …`. */
export function scriptWord(words: readonly string[]): ScriptWord | null {
  if (words[0] !== undefined && isPython(words[0])) return ofPython(words);
  const index = words.findIndex(
    (word, at) => SCRIPT.test(word) && !word.startsWith('-') && (at > 0 || /[/\\]/.test(word)),
  );
  return index < 0 ? null : { index, kind: 'file', name: words[index]! };
}

function ofPython(words: readonly string[]): ScriptWord | null {
  for (let index = 1; index < words.length; index++) {
    const word = words[index]!;
    if (!word.startsWith('-')) return { index, kind: 'file', name: word };
    if (word === '-m') return words[index + 1] ? { index: index + 1, kind: 'module', name: words[index + 1]! } : null;
    if (word === '-c' || word === '-') return null;
    if (WITH_VALUE.test(word)) index++;
  }
  return null;
}
