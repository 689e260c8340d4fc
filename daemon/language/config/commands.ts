/** Commands in the text of a `trainstash.json`, with the places of their words. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { findNodeAtLocation, type Node } from 'jsonc-parser';
import type { CheckedConfig } from '../../runs/config-checks.ts';
import { propertiesOf } from '../../runs/config-checks.ts';
import { splitWords } from '../../runs/launch/command.ts';
import { scriptWord } from '../../runs/launch/script-word.ts';

export interface CommandText {
  job: string;
  kind: 'run' | 'resume' | 'export';
  /** The whole command. */
  node: Node;
  words: { text: string; offset: number; length: number }[];
  /** Folder that it runs in, relative to the project. */
  cwd: string;
}

/** Lists the commands of all jobs, whether the file is otherwise right or not. */
export function commandsIn({ tree }: CheckedConfig): CommandText[] {
  const jobs = tree && findNodeAtLocation(tree, ['jobs']);
  if (jobs?.type !== 'object') return [];
  return propertiesOf(jobs).flatMap(({ key, value }) => {
    const job = String(key.value);
    if (value.type === 'string') return commandOf({ job, kind: 'run', cwd: '' }, value);
    const given = findNodeAtLocation(value, ['cwd']);
    const cwd = given?.type === 'string' ? String(given.value) : '';
    const exported = findNodeAtLocation(value, ['export']);
    return [
      ...commandOf({ job, kind: 'run', cwd }, findNodeAtLocation(value, ['run'])),
      ...commandOf({ job, kind: 'resume', cwd }, findNodeAtLocation(value, ['resume'])),
      ...(exported?.type === 'object' ? propertiesOf(exported) : []).flatMap((one) =>
        commandOf({ job, kind: 'export', cwd }, one.value),
      ),
    ];
  });
}

function commandOf(from: Pick<CommandText, 'job' | 'kind' | 'cwd'>, node: Node | undefined): CommandText[] {
  if (node?.type === 'array') {
    const words = (node.children ?? []).filter(({ type }) => type === 'string');
    return [{ ...from, node, words: words.map((word) => ({ text: String(word.value), ...inner(word) })) }];
  }
  if (node?.type !== 'string') return [];
  const text = String(node.value);
  const words = splitWords(text) ?? [];
  // The place of a word is only known where JSON and quoting leave it as it is; otherwise the whole command is marked.
  const exact = node.length === text.length + 2;
  let from_ = 0;
  return [
    {
      ...from,
      node,
      words: words.map((word) => {
        const at = exact ? text.indexOf(word, from_) : -1;
        if (at < 0) return { text: word, ...inner(node) };
        from_ = at + word.length;
        return { text: word, offset: node.offset + 1 + at, length: word.length };
      }),
    },
  ];
}

/** Returns the place between the quotes of a string. */
function inner(node: Node): { offset: number; length: number } {
  return { offset: node.offset + 1, length: Math.max(0, node.length - 2) };
}

/** Returns the file that a command's script is in, and the word that names it; `file` is null if it is not in the project. */
export function scriptOf(
  root: string,
  { words, cwd }: CommandText,
): { file: string | null; word: CommandText['words'][number]; kind: 'file' | 'module' } | null {
  const found = scriptWord(words.map(({ text }) => text));
  if (!found || found.name.includes('${')) return null;
  const word = words[found.index]!;
  const base = join(root, cwd);
  if (found.kind === 'file')
    return { word, kind: 'file', file: isFile(join(base, found.name)) ? join(base, found.name) : null };
  const path = join(base, ...found.name.split('.'));
  const file = [`${path}.py`, join(path, '__main__.py'), join(path, '__init__.py')].find(isFile) ?? null;
  // A module whose first part is not in the project comes from a package.
  const [top] = found.name.split('.');
  const isOwn = existsSync(join(base, top!)) || existsSync(join(base, `${top}.py`));
  return file || isOwn ? { word, kind: 'module', file } : null;
}

/** Lists files beside a path that has been typed so far: its folder's entries of these kinds, and folders with a `/`. */
export function filesBeside(root: string, typed: string, kinds: RegExp): string[] {
  const folder = typed.endsWith('/') ? typed : `${dirname(typed)}/`;
  const base = join(root, folder);
  if (relative(root, base).startsWith('..')) return [];
  const before = folder === './' ? '' : folder;
  try {
    return readdirSync(base, { withFileTypes: true }).flatMap((entry) => {
      if (entry.name.startsWith('.') || entry.name === 'node_modules' || entry.name === '__pycache__') return [];
      if (entry.isDirectory()) return [`${before}${entry.name}/`];
      return kinds.test(entry.name) ? [`${before}${entry.name}`] : [];
    });
  } catch {
    return [];
  }
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
