/** Completes a command line: words that may stand at its end. The scripts for the shells only pass the line on. */
import { BACKENDS } from '../../protocol/domain.ts';
import { SWEEP_ACTIONS } from '../commands/sweep.ts';
import { commands } from '../commands.ts';
import { optionHelp } from '../option-help.ts';

export interface Candidate {
  word: string;
  /** Explanation, which some shells show beside the word. */
  about: string;
}

/** Names from a project, which only a running daemon can tell. */
export interface Names {
  jobs(): Promise<Candidate[]>;
  runs(): Promise<Candidate[]>;
  checkpoints(run: string): Promise<Candidate[]>;
  branches(): Promise<Candidate[]>;
}

/** Words that no shell reads as anything but a word. Names with other characters are left out. */
const PLAIN = /^[\p{L}\p{N}_@%+=:,./#-]+$/u;

/** Lists the words that may end the line; `words` follow `trainstash`, and the last one is being typed. */
export async function candidatesFor(words: readonly string[], names: Names): Promise<Candidate[]> {
  const typed = words.at(-1) ?? '';
  const found = await unfiltered(words.slice(0, -1), typed, names);
  return found.filter(({ word }) => word.startsWith(typed) && PLAIN.test(word));
}

async function unfiltered(before: readonly string[], typed: string, names: Names): Promise<Candidate[]> {
  const [name, ...rest] = before;
  if (name === undefined) return [...commandNames(), plain('help'), plain('--version')];
  if (name === 'help') return rest.length === 0 ? commandNames() : [];
  const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
  // What follows `--` is a command of its own.
  if (!command || rest.includes('--')) return [];
  const options = command.options;
  const open = optionOf(rest.at(-1), options);
  if (open !== undefined && options[open]?.type === 'string') return valuesOf(open, command.usage, names);
  if (typed.startsWith('-')) return optionNames(name, options);
  const isValue = (index: number) => options[optionOf(rest[index - 1], options) ?? '']?.type === 'string';
  const own = rest.filter((word, index) => !word.startsWith('-') && !isValue(index));
  return wordsOf(name, command.usage, own, typed, names);
}

function commandNames(): Candidate[] {
  return Object.entries(commands).map(([word, { summary }]) => ({ word, about: summary }));
}

function optionNames(command: string, options: object): Candidate[] {
  return [...Object.keys(options), 'json', 'help'].map((option) => ({
    word: `--${option}`,
    about: option === 'help' ? 'explain the command' : (optionHelp(command, option) ?? ''),
  }));
}

/** Returns the option that a word names, also by its letter. */
function optionOf(word: string | undefined, options: Readonly<Record<string, { short?: string | undefined }>>) {
  if (!word?.startsWith('-') || word.includes('=')) return undefined;
  if (word.startsWith('--')) return word.slice(2);
  return Object.keys(options).find((name) => options[name]!.short === word.slice(1));
}

function valuesOf(option: string, usage: string, names: Names): Promise<Candidate[]> | Candidate[] {
  if (option === 'backend') return ['auto', ...BACKENDS].map(plain);
  if (option === 'after' || option === 'before') return names.runs();
  if (option === 'branch') return names.branches();
  // The usage lists the values of an option that has few: `--by step|epoch|time`.
  const listed = new RegExp(`--${option} ([a-z]+(?:\\|[a-z]+)+)(?![\\w|])`).exec(usage)?.[1] ?? '';
  return listed.split('|').map(plain);
}

/** Completes the words of a command by what its usage asks for. */
async function wordsOf(
  command: string,
  usage: string,
  before: readonly string[],
  typed: string,
  names: Names,
): Promise<Candidate[]> {
  const first = before.length === 0;
  // The repeated part may be an option: `[--set NAME=VALUE]…`.
  const asked = usage.replaceAll(/\[-[^\]]*\]…?/g, '');
  const fixed = fixedWords(asked, before);
  if (command === 'sweep') return first ? [...SWEEP_ACTIONS.map(plain), ...(await names.jobs())] : [];
  if (fixed.length > 0) return fixed.map(plain);
  if (command === 'run') return first ? names.jobs() : [];
  if (command === 'switch') return first ? names.branches() : [];
  if (!/\b(RUN|CHECKPOINT)\b|^A B/.test(usage) || (!first && !asked.includes('…'))) return [];
  const at = typed.lastIndexOf('@');
  return at > 0 ? names.checkpoints(typed.slice(0, at)) : names.runs();
}

/** Lists the words that a usage asks for literally, in small letters, behind the words before: `list | show STASH`. */
function fixedWords(usage: string, before: readonly string[]): string[] {
  return usage.split(' | ').flatMap((form) => {
    const places = form
      .replaceAll(/[[\]]/g, '')
      .trim()
      .split(/\s+/)
      .map((place) => place.split('|'));
    const fits = before.every((word, index) => places[index]?.includes(word));
    return fits ? (places[before.length] ?? []).filter((word) => /^[a-z]+$/.test(word)) : [];
  });
}

function plain(word: string): Candidate {
  return { word, about: '' };
}
