/**
 * Finds the mistakes in the text of a `trainstash.json`, all of them, each at its place. `run` refuses a file by this list, and
 * an editor shows it while the file is typed: one rule for both.
 */
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser';
import * as v from 'valibot';
import { alertsSchema } from '../../protocol/alerts.ts';
import { type BranchesConfig, branchesSchema, type JobConfig, jobSchema } from '../../protocol/config.ts';
import { ENGINE_KEYS, engineSchema, HERE_NAME } from '../../protocol/engines.ts';
import { nearest } from '../../protocol/nearest.ts';
import { sweepSchema } from '../../protocol/sweep.ts';
import { sentenceOf, type ValueSentence } from './config-sentences.ts';
import { splitWords } from './launch/command.ts';

export interface ConfigProblem {
  code: 'configSyntax' | 'configValue' | 'configKey' | 'configTwice' | 'configJob' | 'configCommand';
  /** Place in the text, in UTF-16 units. */
  offset: number;
  length: number;
  /** Sentence without the place and without a full stop. */
  text: string;
  /** True if `run` refuses the file; otherwise it warns and ignores this part. */
  refused: boolean;
  /** JSON that would stand right in this place. */
  replacement?: string;
}

export interface CheckedConfig {
  /** Undefined: the text has no JSON value at all. */
  tree: Node | undefined;
  problems: ConfigProblem[];
  /** Jobs that are right. */
  jobs: Map<string, JobConfig>;
  branches: BranchesConfig;
}

export const TOP_LEVEL_KEYS: readonly string[] = ['jobs', '$schema', ...Object.keys(branchesSchema.entries)];
export const JOB_KEYS: readonly string[] = Object.keys(jobSchema.entries);
const REMOTE_KEYS = ['url', 'endpoint', 'region', 'profile'];
const NESTED: Readonly<Record<string, readonly string[]>> = {
  checkpoint: ['every', 'best'],
  keep: ['last', 'best', 'every', 'remote'],
  push: ['to', 'which', 'every'],
  alerts: Object.keys(alertsSchema.entries),
  'alerts.plateau': ['metric', 'steps'],
  sweep: Object.keys(sweepSchema.entries),
};

/** Words for the parser's errors. */
const SYNTAX: Readonly<Record<string, string>> = {
  InvalidSymbol: 'this is no JSON value; text stands in double quotes',
  InvalidNumberFormat: 'this is no number',
  PropertyNameExpected: 'a key in double quotes belongs here',
  ValueExpected: 'a value is missing here',
  ColonExpected: 'a ":" is missing before this',
  CommaExpected: 'a "," is missing before this',
  CloseBraceExpected: 'a "}" is missing',
  CloseBracketExpected: 'a "]" is missing',
  EndOfFileExpected: 'the file should end before this',
  InvalidCommentToken: 'this is no comment',
  UnexpectedEndOfComment: 'a comment has no end',
  UnexpectedEndOfString: 'a quote is missing at the end of this text',
  UnexpectedEndOfNumber: 'this number is incomplete',
  InvalidUnicode: 'this is no character: \\u takes four hexadecimal digits',
  InvalidEscapeCharacter: 'this is no escape; a backslash in text is written twice',
  InvalidCharacter: 'this character has to be escaped',
};

/** Parses and checks the text of a configuration. A byte-order mark at its beginning, as some editors write it, is fine. */
export function checkConfig(given: string): CheckedConfig {
  const text = given.startsWith('\uFEFF') ? ` ${given.slice(1)}` : given;
  const blank = text.trim() === '';
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  const problems: ConfigProblem[] = firstOfEachLine(text, errors).map(({ error, offset, length }) => ({
    code: 'configSyntax',
    offset,
    length,
    text: `it is not valid JSON: ${blank ? 'it is empty' : (SYNTAX[printParseErrorCode(error)] ?? 'this does not belong here')}`,
    refused: true,
  }));
  const checked: CheckedConfig = { tree, problems, jobs: new Map(), branches: v.parse(branchesSchema, {}) };
  if (!tree) return checked;
  if (tree.type !== 'object') {
    if (errors.length === 0) problems.push(refuse('configValue', tree, 'it must be an object { "jobs": { … } }'));
    return checked;
  }
  problems.push(...repeated(tree), ...unknownKeys(tree, TOP_LEVEL_KEYS, 'the file'));
  checkBranches(tree, checked);
  const jobs = findNodeAtLocation(tree, ['jobs']);
  if (jobs && jobs.type !== 'object') problems.push(refuse('configValue', jobs, '"jobs" must be an object'));
  for (const { key, value } of jobs?.type === 'object' ? propertiesOf(jobs) : []) checkJob(key, value, checked);
  checkEngines(tree, checked);
  problems.sort((a, b) => a.offset - b.offset);
  return checked;
}

/** Lists the complete properties of an object node. */
export function propertiesOf(node: Node): { key: Node; value: Node }[] {
  return (node.children ?? []).flatMap(({ children }) =>
    children?.length === 2 ? [{ key: children[0]!, value: children[1]! }] : [],
  );
}

function checkBranches(tree: Node, { problems, ...checked }: CheckedConfig): void {
  const entries = Object.entries(getNodeValue(tree) as Record<string, unknown>).filter(([key]) => key !== 'jobs');
  const parsed = v.safeParse(branchesSchema, Object.fromEntries(entries));
  if (parsed.success) Object.assign(checked.branches, parsed.output);
  else
    for (const issue of parsed.issues) {
      const path = (issue.path ?? []).map(({ key }) => key as string | number);
      const isKey = issue.type === 'strict_object' && issue.expected === 'never';
      const unknown = path[0] === 'engines' || path[0] === 'remotes' ? unknownNamedKey : unknownSetting;
      problems.push(isKey ? unknown(tree, path) : valueProblem(tree, sentenceOf(issue), ''));
    }
}

function unknownSetting(tree: Node, path: (string | number)[]): ConfigProblem {
  const near = nearest(String(path.at(-1)), NESTED[path.slice(0, -1).join('.')] ?? []);
  const hint = near ? `; did you mean "${near}"?` : '';
  const problem = refuse('configKey', keyAt(tree, path), `there is no "${path.join('.')}"${hint}`);
  return { ...problem, replacement: near && JSON.stringify(near) };
}

/** Makes the problem of a key that an engine or a remote does not have. */
function unknownNamedKey(tree: Node, path: (string | number)[]): ConfigProblem {
  const isEngine = path[0] === 'engines';
  const near = nearest(String(path.at(-1)), isEngine ? Object.keys(engineSchema.entries) : REMOTE_KEYS);
  const text = `the ${isEngine ? 'engine' : 'remote'} "${path[1]}" has an unknown key "${path.at(-1)}"${near ? `; did you mean "${near}"?` : ''}`;
  return { ...refuse('configKey', keyAt(tree, path), text), replacement: near && JSON.stringify(near) };
}

/** Refuses an engine that a job names and that is not there, and one whose keys do not fit its kind. */
function checkEngines(tree: Node, { jobs, branches, problems }: CheckedConfig): void {
  for (const [name, { type }] of Object.entries(branches.engines)) {
    const at = (key: string) => findNodeAtLocation(tree, ['engines', name, key]);
    const { needs, lacks } = ENGINE_KEYS[type];
    const own = at('type') ?? tree;
    for (const key of needs.filter((one) => !at(one)))
      problems.push(refuse('configValue', own, `the engine "${name}" of the kind "${type}" needs "${key}"`));
    for (const key of lacks.filter(at)) {
      const text = `the engine "${name}" has the type "${type}", which does not use "${key}"`;
      problems.push(refuse('configKey', keyAt(tree, ['engines', name, key]), text));
    }
  }
  const known = [...Object.keys(branches.engines), HERE_NAME];
  for (const [name, { engine }] of jobs) {
    if (engine === undefined || known.includes(engine)) continue;
    const near = nearest(engine, known);
    const text = `the job "${name}" names an engine "${engine}", which "engines" does not have${near ? `; did you mean "${near}"?` : ''}`;
    const place = findNodeAtLocation(tree, ['jobs', name, 'engine']) ?? tree;
    problems.push({ ...refuse('configValue', place, text), replacement: near && JSON.stringify(near) });
  }
}

function checkJob(key: Node, node: Node, { problems, jobs }: CheckedConfig): void {
  const name = String(key.value);
  if (node.type !== 'object' && node.type !== 'string') {
    const wanted = 'must be a command or an object: "python train.py" or { "module": "train.ts" }';
    problems.push(refuse('configJob', node, `the job "${name}" ${wanted}`));
    return;
  }
  const value =
    node.type === 'string' ? { run: node.value as unknown } : (getNodeValue(node) as Record<string, unknown>);
  const before = problems.length;
  if (node.type === 'object') problems.push(...unknownKeys(node, JOB_KEYS, `job "${name}"`));
  const kept = Object.fromEntries(Object.entries(value).filter(([one]) => JOB_KEYS.includes(one)));
  const parsed = v.safeParse(jobSchema, kept);
  if (!parsed.success) {
    for (const issue of parsed.issues) problems.push(jobProblem(node, name, issue));
    return;
  }
  checkCommands(name, node, parsed.output, problems);
  if (!problems.slice(before).some(({ refused }) => refused)) jobs.set(name, parsed.output);
}

function jobProblem(node: Node, name: string, issue: v.BaseIssue<unknown>): ConfigProblem {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  if (issue.type !== 'strict_object' || issue.expected !== 'never')
    return valueProblem(node, sentenceOf(issue), `in the job "${name}", `);
  const near = nearest(String(path.at(-1)), NESTED[String(path[0])] ?? []);
  const hint = near ? `; did you mean "${near}"?` : '';
  const place = keyAt(node, path);
  return {
    ...refuse('configKey', place, `the job "${name}" has an unknown key "${path.join('.')}"${hint}`),
    replacement: near && JSON.stringify(near),
  };
}

function checkCommands(name: string, node: Node, job: JobConfig, problems: ConfigProblem[]): void {
  const kinds = 'either "run" (a command, such as "python train.py") or "module" (a TensorFlow.js module)';
  if (job.module === undefined && job.run === undefined) {
    // A mistyped "module" is one mistake, not two.
    const meant = problems.find(
      ({ offset, replacement }) => isInside(node, offset) && /^"(run|module)"$/.test(replacement ?? ''),
    );
    if (meant) Object.assign(meant, { refused: true, text: meant.text.replace(', which is ignored', '') });
    else problems.push(refuse('configJob', node, `the job "${name}" needs ${kinds}`));
  } else if (job.module !== undefined && job.run !== undefined) {
    const text = `the job "${name}" needs ${kinds}, and it has both: remove one of them`;
    problems.push(refuse('configJob', keyAt(node, ['module']), text));
  }
  const commands: [(string | number)[], string | readonly string[] | undefined][] = [
    [['run'], job.run],
    [['resume'], job.resume],
    ...Object.entries(job.export).map(([format, command]) => [['export', format], command] as [string[], string]),
  ];
  for (const [path, command] of commands) {
    if (typeof command !== 'string' || splitWords(command)?.length) continue;
    const place = findNodeAtLocation(node, path) ?? node;
    problems.push(
      refuse('configCommand', place, `the job "${name}" has a command that is empty or has an unclosed quote`),
    );
  }
}

function valueProblem(node: Node, { text, path, replacement }: ValueSentence, before: string): ConfigProblem {
  const place = findNodeAtLocation(node, path) ?? node;
  return { ...refuse('configValue', place, `${before}${text}`), replacement };
}

function unknownKeys(node: Node, known: readonly string[], where: string): ConfigProblem[] {
  return propertiesOf(node).flatMap(({ key }) => {
    const name = String(key.value);
    if (known.includes(name)) return [];
    const near = nearest(name, known);
    const hint = near ? `; did you mean "${near}"?` : '';
    return [
      {
        code: 'configKey',
        ...placeOf(key),
        text: `${where} has an unknown key "${name}", which is ignored${hint}`,
        refused: false,
        replacement: near && JSON.stringify(near),
      },
    ];
  });
}

/** Finds keys that an object has twice: JSON takes the last one in silence. */
function repeated(node: Node): ConfigProblem[] {
  if (node.type !== 'object') return (node.children ?? []).flatMap(repeated);
  const seen = new Map<string, Node>();
  return propertiesOf(node).flatMap(({ key, value }): ConfigProblem[] => {
    const name = String(key.value);
    const first = seen.get(name);
    seen.set(name, key);
    const text = `"${name}" appears twice, and only the last one counts`;
    return [
      ...(first ? [{ code: 'configTwice' as const, ...placeOf(first), text, refused: false }] : []),
      ...repeated(value),
    ];
  });
}

function keyAt(node: Node, path: (string | number)[]): Node {
  return findNodeAtLocation(node, path)?.parent?.children?.[0] ?? node;
}

/** Makes the problem of a node. A whole object is marked at its first character: nobody wants a job underlined from end to end. */
function refuse(
  code: ConfigProblem['code'],
  node: Pick<Node, 'offset' | 'length'> & { type?: string },
  text: string,
): ConfigProblem {
  const { offset } = node;
  const mark = node.type === 'object' ? { offset, length: 1 } : placeOf(node);
  return { code, ...mark, text, refused: true };
}

function isInside(node: Node, offset: number): boolean {
  return node.offset <= offset && offset < node.offset + node.length;
}

function placeOf({ offset, length }: Pick<Node, 'offset' | 'length'>): { offset: number; length: number } {
  return { offset, length };
}

/** Drops errors that follow from one before them in the same line. */
function firstOfEachLine(text: string, errors: readonly ParseError[]): ParseError[] {
  let lineEnd = -1;
  return errors.filter(({ offset }) => {
    if (offset <= lineEnd) return false;
    const end = text.indexOf('\n', offset);
    lineEnd = end < 0 ? text.length : end;
    return true;
  });
}
