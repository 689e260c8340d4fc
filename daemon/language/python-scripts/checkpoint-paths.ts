/** Hovers, definitions and completions at the paths of checkpoints in a script. Only looks. */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CompletionItem, CompletionItemKind, Hover, Location } from 'vscode-languageserver-protocol';
import type { FileInspection } from '../../../protocol/domain.ts';
import { visible } from '../../../protocol/visible.ts';
import { bytes, counted, integer } from '../../../protocol/words.ts';
import { type OpenDocument, rangeOf } from '../document.ts';
import type { DescribeFile, ProjectFacts } from '../facts.ts';
import { type CheckpointString, isCheckpointName } from './strings.ts';

const FILE = 17 as const;
const FOLDER = 19 as const;
const VALUE = 12 as const;
/** Tensors in a hover, and names in a completion. */
const MOST_TENSORS = 12;
const MOST_NAMES = 200;
/** Length of a tensor's name in a hover. */
const MOST_CHARACTERS = 60;

export function stringAt(strings: readonly CheckpointString[], offset: number): CheckpointString | null {
  return strings.find(({ from, to }) => from <= offset && offset <= to) ?? null;
}

/** Finds the file that a string names: beside the script, or in the folder that scripts usually run in. */
export async function fileOf({ text }: CheckpointString, folders: readonly string[]): Promise<string | null> {
  if (text === '' || text.includes('\0')) return null;
  const path = text.startsWith('~/') ? join(homedir(), text.slice(2)) : text;
  const candidates = isAbsolute(path) ? [path] : folders.map((folder) => resolve(folder, path));
  for (const candidate of candidates) if ((await stat(candidate).catch(() => null))?.isFile()) return candidate;
  return null;
}

export async function hoverOf(
  document: OpenDocument,
  string: CheckpointString,
  path: string,
  { describe, kept }: { describe: DescribeFile; kept: Awaited<ReturnType<ProjectFacts['checkpointOf']>> },
): Promise<Hover> {
  const found = await describe(path, MOST_TENSORS);
  const content = typeof found === 'string' ? found : summaryOf(found);
  const value = kept ? `${ofRun(kept)}\n\n${content}` : content;
  return {
    contents: { kind: 'markdown', value },
    range: rangeOf(document.text, string.from, string.to - string.from),
  };
}

/** Says of which run a file is a checkpoint. Names stand in code, where nothing of them is markup. */
function ofRun({ run, step, grade, tags }: NonNullable<Awaited<ReturnType<ProjectFacts['checkpointOf']>>>): string {
  const tagged = tags.length > 0 ? `, ${tags.map((tag) => `\`${shown(tag)}\``).join(' ')}` : '';
  return `Checkpoint of \`${shown(run)}\` at step ${integer(step)}: ${grade}${tagged}`;
}

/** Tensor names come from the file: they stand in a block of code, where nothing of them is markup. */
function summaryOf({ format, bytes: size, tensors, tensorCount, elements, ingredients }: FileInspection): string {
  const width = Math.max(...tensors.map(({ name }) => Math.min(MOST_CHARACTERS, name.length)), 0);
  const lines = tensors.map(({ name, dtype, shape }) => `${shown(name).padEnd(width)}  ${dtype} [${shape.join(', ')}]`);
  if (tensorCount > tensors.length) lines.push(`… and ${integer(tensorCount - tensors.length)} more`);
  const lost = ingredients?.filter(({ state }) => state === 'lost').map(({ name }) => shown(name)) ?? [];
  return [
    `**${format}**, ${bytes(size)}: ${counted(tensorCount, 'tensor')}, ${integer(elements)} numbers`,
    ...(lost.length > 0 ? [`Not kept: ${lost.join(', ')}`] : []),
    ...(lines.length > 0 ? [`\`\`\`text\n${lines.join('\n')}\n\`\`\``] : []),
  ].join('\n\n');
}

function shown(name: string): string {
  const plain = visible(name).replaceAll('`', "'");
  return plain.length > MOST_CHARACTERS ? `${plain.slice(0, MOST_CHARACTERS - 1)}…` : plain;
}

export function definitionOf(path: string): Location[] {
  const start = { line: 0, character: 0 };
  return [{ uri: pathToFileURL(path).href, range: { start, end: start } }];
}

/** Offers what `resume=` takes: the newest checkpoint, or a path. */
export async function resumeItems(
  document: OpenDocument,
  string: CheckpointString,
  offset: number,
  folders: readonly string[],
): Promise<CompletionItem[]> {
  const range = rangeOf(document.text, string.from, string.to - string.from);
  const typed = string.text.slice(0, offset - string.from);
  const below = typed.slice(0, typed.lastIndexOf('/') + 1);
  const item = (text: string, kind: CompletionItemKind, detail: string): CompletionItem => ({
    label: text,
    kind,
    detail,
    filterText: text,
    textEdit: { range, newText: text },
  });
  const last = below === '' ? [item('last', VALUE, 'the newest checkpoint of this script on this branch')] : [];
  const entries = (await Promise.all(folders.map((folder) => namesIn(resolve(folder, below))))).flat();
  const names = new Map(entries.map(({ name, isFolder }) => [name, isFolder]));
  return [
    ...last,
    ...[...names]
      .slice(0, MOST_NAMES)
      .map(([name, isFolder]) =>
        isFolder ? item(`${below}${name}/`, FOLDER, 'folder') : item(`${below}${name}`, FILE, 'checkpoint file'),
      ),
  ];
}

async function namesIn(folder: string): Promise<{ name: string; isFolder: boolean }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.name.startsWith('.') && (entry.isDirectory() || isCheckpointName(entry.name)))
    .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
}

export function foldersOf(path: string, root: string | null): string[] {
  return [...new Set([dirname(path), ...(root === null ? [] : [root])])];
}
