/** Completes a command line: words that may stand at its end. The scripts for the shells only pass the line on. */
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

/** Values of options that come from a fixed list. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  backend: ['auto', 'webgpu', 'tensorflow', 'tfjs-node-gpu', 'tfjs-node', 'wasm', 'cpu'],
  by: ['step', 'epoch', 'time'],
  files: ['move', 'stay'],
};
/** First words of commands that take one of a few. */
const FIRST_WORDS: Readonly<Record<string, readonly string[]>> = {
  completion: ['bash', 'zsh', 'fish'],
  daemon: ['status', 'stop', 'logs'],
  hook: ['install', 'remove'],
  stash: ['list', 'show', 'restore', 'drop', 'undo'],
  backend: ['install', 'remove'],
};
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
  if (open !== undefined && options[open]?.type === 'string') return valuesOf(name, open, names);
  if (typed.startsWith('-')) return optionNames(name, options);
  return wordsOf(name, command.usage, rest, typed, names);
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

function valuesOf(command: string, option: string, names: Names): Promise<Candidate[]> | Candidate[] {
  const fixed = VALUES[option];
  if (fixed) return fixed.map(plain);
  if (option === 'after' || option === 'before') return names.runs();
  if (option === 'branch') return names.branches();
  if (option === 'follow' && command === 'sync') return ['yes', 'no'].map(plain);
  return [];
}

/** Completes the words of a command by what its usage asks for. */
async function wordsOf(
  command: string,
  usage: string,
  rest: readonly string[],
  typed: string,
  names: Names,
): Promise<Candidate[]> {
  const first = rest.filter((word) => !word.startsWith('-')).length === 0;
  const fixed = FIRST_WORDS[command];
  if (fixed) return first ? fixed.map(plain) : [];
  if (command === 'run') return first ? names.jobs() : [];
  if (command === 'switch') return first ? names.branches() : [];
  if (!/\b(RUN|CHECKPOINT)\b|^A B/.test(usage) || (!first && !usage.includes('…'))) return [];
  const at = typed.lastIndexOf('@');
  return at > 0 ? names.checkpoints(typed.slice(0, at)) : names.runs();
}

function plain(word: string): Candidate {
  return { word, about: '' };
}
