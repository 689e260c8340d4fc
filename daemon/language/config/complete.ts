/** Completion in `trainstash.json`. */
import { getLocation, type Location } from 'jsonc-parser';
import type { CompletionItem, Range } from 'vscode-languageserver-protocol';
import type { Run } from '../../../protocol/domain.ts';
import type { CheckedConfig } from '../../runs/config-checks.ts';
import { PLACEHOLDERS } from '../../runs/launch/command.ts';
import { type OpenDocument, rangeOf } from '../document.ts';
import { filesBeside } from './commands.ts';
import { metricNames } from './job-checks.ts';
import { schemaNode } from './schema-node.ts';

const KIND = { property: 10, value: 12, file: 17, folder: 19, variable: 6 } as const;

/** Keys whose values are paths. */
const PATHS = new Set(['files', 'checkpoints', 'cwd']);
const INTERVALS = ['"5m"', '"500 steps"', '"1 epoch"', '"1 epoch, 10m"'];
const PLACEHOLDER_WORDS: Readonly<Record<string, string>> = {
  run: 'id of the run',
  dir: 'the run’s own folder for files',
  checkpoint: 'file or folder of the checkpoint to load',
  stem: 'the checkpoint’s path without its extension',
  out: 'path that the command has to write',
};

/** Proposes keys, values, files, names of metrics and placeholders. */
export function completeConfig(
  { text }: OpenDocument,
  offset: number,
  checked: CheckedConfig,
  root: string | null,
  runs: readonly Run[],
): CompletionItem[] {
  const source = text.getText();
  const location = getLocation(source, offset);
  if (location.isAtPropertyKey)
    return keys(source, location, offset, (from, length) => rangeOf(text, from, length), runs);
  const { previousNode: node, path } = location;
  const inText = node?.type === 'string' && offset > node.offset && offset <= node.offset + node.length;
  if (inText) {
    const inside = insideText(source, node.offset, node.length, offset);
    const range = rangeOf(text, inside.wordFrom, inside.wordLength);
    const found = commandKind(path) ? inCommand(checked, inside, path, root, range) : null;
    if (found) return found;
    if (path[0] === 'jobs' && path[2] === 'module') return files(root, inside.before, /\.[cm]?[jt]s$/, range);
    const key = path.findLast((part) => typeof part === 'string');
    if (PATHS.has(key as string)) return files(root, inside.before, /./, range);
  }
  const whole = inText ? rangeOf(text, node.offset, node.length) : rangeOf(text, offset, 0);
  return values(path, runs).map((value) => ({
    label: value,
    kind: KIND.value,
    filterText: value,
    textEdit: { range: whole, newText: value },
  }));
}

interface Inside {
  /** Text of the word up to the cursor; words end at spaces. */
  before: string;
  wordFrom: number;
  wordLength: number;
}

function insideText(source: string, from: number, length: number, offset: number): Inside {
  const end = source[from + length - 1] === '"' && length > 1 ? from + length - 1 : from + length;
  let start = offset;
  while (start > from + 1 && !/\s/.test(source[start - 1]!)) start--;
  let stop = offset;
  while (stop < end && !/[\s"]/.test(source[stop]!)) stop++;
  return { before: source.slice(start, offset), wordFrom: start, wordLength: stop - start };
}

function commandKind(path: Location['path']): keyof typeof PLACEHOLDERS | null {
  if (path[0] !== 'jobs') return null;
  if (path.length === 2 || path[2] === 'run' || path[2] === 'env') return 'run';
  if (path[2] === 'resume') return 'resume';
  return path[2] === 'export' && path.length > 3 ? 'export' : null;
}

function inCommand(
  checked: CheckedConfig,
  inside: Inside,
  path: Location['path'],
  root: string | null,
  range: Range,
): CompletionItem[] | null {
  const opened = inside.before.lastIndexOf('${');
  if (opened >= 0 && !inside.before.slice(opened).includes('}')) {
    const from = range.start.character + opened;
    const typed = { start: { ...range.start, character: from }, end: range.end };
    const params = Object.keys(checked.jobs.get(String(path[1]))?.params ?? {});
    const names = [
      ...PLACEHOLDERS[commandKind(path)!].map((name) => [name, PLACEHOLDER_WORDS[name]!] as const),
      ...params.map((name) => [`params.${name}`, 'a param of this job'] as const),
    ];
    return names.map(([name, detail]) => ({
      label: `\${${name}}`,
      kind: KIND.variable,
      detail,
      textEdit: { range: typed, newText: `\${${name}}` },
    }));
  }
  if (path[2] === 'env') return null;
  return files(root, inside.before, /\.(py|sh|[cm]?[jt]s|jl|R)$/, range);
}

function files(root: string | null, typed: string, kinds: RegExp, range: Range): CompletionItem[] {
  if (root === null || typed.startsWith('/')) return [];
  return filesBeside(root, typed, kinds).map((path) => ({
    label: path,
    kind: path.endsWith('/') ? KIND.folder : KIND.file,
    textEdit: { range, newText: path },
  }));
}

function keys(
  source: string,
  location: Location,
  offset: number,
  rangeAt: (from: number, length: number) => Range,
  runs: readonly Run[],
): CompletionItem[] {
  const parent = location.path.slice(0, -1);
  const { previousNode: node } = location;
  const within = node && offset >= node.offset && offset <= node.offset + node.length;
  const range = within ? rangeAt(node.offset, node.length) : rangeAt(offset, 0);
  const hasValue = within && /^\s*:/.test(source.slice(node.offset + node.length));
  const known = schemaNode(parent)?.keys ?? new Map<string, string>();
  const ofParams = parent[2] === 'params' || (parent[2] === 'sweep' && parent[3] === 'params' && parent.length === 4);
  const names = parent[0] === 'jobs' && ofParams ? paramNames(runs, String(parent[1])) : known;
  return [...names].map(([name, description], index) => {
    const value = schemaNode([...parent, name]);
    const first = value?.values[0] ?? value?.empty ?? '';
    return {
      label: name,
      kind: KIND.property,
      documentation: { kind: 'markdown' as const, value: description },
      sortText: String(index).padStart(3, '0'),
      filterText: `"${name}"`,
      textEdit: { range, newText: hasValue ? `"${name}"` : `"${name}": ${first}` },
    };
  });
}

function paramNames(runs: readonly Run[], job: string): Map<string, string> {
  const names = runs.filter((run) => run.job === job).flatMap((run) => Object.entries(run.params));
  return new Map(names.map(([name, value]) => [name, `Newest value: \`${JSON.stringify(value)}\``]));
}

function values(path: Location['path'], runs: readonly Run[]): string[] {
  const [first, job, key, inner] = path;
  if (first === 'jobs' && ((key === 'keep' && inner === 'best') || (key === 'sweep' && inner === 'metric')))
    return metricNames(runs, String(job)).flatMap((name) => [JSON.stringify(name), JSON.stringify(`max:${name}`)]);
  if (first === 'jobs' && key === 'checkpoint' && inner === 'every') return INTERVALS;
  return schemaNode(path)?.values ?? [];
}
