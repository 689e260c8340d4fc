/** Everything that editors show in a `trainstash.json`. */
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { getLocation } from 'jsonc-parser';
import type { Range } from 'vscode-languageserver-protocol';
import { CONFIG_FILES } from '../../../protocol/config-file.ts';
import type { Run } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { type CheckedConfig, checkConfig } from '../../runs/config-checks.ts';
import type { Finding } from '../codes.ts';
import { type OpenDocument, rangeOf } from '../document.ts';
import type { FactsOf } from '../facts.ts';
import type { Language } from '../language.ts';
import { commandsIn, isFile, scriptOf } from './commands.ts';
import { completeConfig } from './complete.ts';
import { jobProblems } from './job-checks.ts';
import { remoteProblems } from './remote-checks.ts';
import { schemaNode } from './schema-node.ts';

const START = { line: 0, character: 0 };

export function isConfig(uri: string): boolean {
  return CONFIG_FILES.includes(basename(uri));
}

/** Makes the language. `syntax`: whether mistakes of JSON itself are told; VS Code tells them already. */
export function configLanguage(factsOf: FactsOf, syntax: boolean): Language {
  const rootOf = ({ path }: OpenDocument) => (path === null ? null : dirname(path));
  const runsOf = async (document: OpenDocument): Promise<Run[]> => {
    const root = rootOf(document);
    return root === null ? [] : ((await (await factsOf(root))?.runs()) ?? []);
  };
  return {
    async diagnose(document) {
      const checked = checkedOf(document);
      const problems = checked.problems.filter(
        ({ code }) => syntax || (code !== 'configSyntax' && code !== 'configTwice'),
      );
      const root = rootOf(document);
      const accepted = root === null ? null : ((await (await factsOf(root))?.remotes()) ?? null);
      const ofRemotes = remoteProblems(checked, accepted);
      const ofJobs = jobProblems(checked, rootOf(document), await runsOf(document));
      return [
        ...problems.map((problem) => ({
          ...problem,
          text: sentence(problem.text),
          severity: problem.refused ? undefined : (2 as const),
        })),
        ...[...ofJobs, ...ofRemotes].map((problem) => ({
          ...problem,
          text: sentence(problem.text),
          severity: undefined,
        })),
      ].map(({ code, offset, length, text, severity, replacement }): Finding => {
        const range = rangeOf(document.text, offset, length);
        const fixes = replacement
          ? [{ title: `Replace with ${replacement}`, edits: [{ range, newText: replacement }] }]
          : undefined;
        return { code, range, text, severity, fixes };
      });
    },

    async complete(document, offset) {
      return completeConfig(document, offset, checkedOf(document), rootOf(document), await runsOf(document));
    },

    async hover({ text }, offset) {
      const { path, previousNode: node } = getLocation(text.getText(), offset);
      const value = schemaNode(path)?.description;
      if (!value) return null;
      const within = node && offset >= node.offset && offset <= node.offset + node.length;
      return {
        contents: { kind: 'markdown', value },
        ...(within ? { range: rangeOf(text, node.offset, node.length) } : {}),
      };
    },

    async define(document, offset) {
      const root = rootOf(document);
      if (root === null) return [];
      const checked = checkedOf(document);
      const { path, isAtPropertyKey } = getLocation(document.text.getText(), offset);
      const job = path[0] === 'jobs' ? String(path[1]) : null;
      const module = job === null ? undefined : checked.jobs.get(job)?.module;
      const commands = commandsIn(checked).filter((command) => command.job === job);
      const hit = commands.find(({ node }) => offset >= node.offset && offset <= node.offset + node.length);
      // On the name of a job, or anywhere in one of its commands.
      const command = hit ?? (isAtPropertyKey && path.length === 2 ? commands[0] : undefined);
      const file = command
        ? scriptOf(root, command)?.file
        : module && isFile(join(root, module))
          ? join(root, module)
          : null;
      if (!file || (!command && path.length > 2 && path[2] !== 'module')) return [];
      return [{ uri: pathToFileURL(file).href, range: { start: START, end: START } }];
    },

    renameable: (document, offset) => jobKey(document, offset)?.range ?? null,

    rename(document, offset, name) {
      const key = jobKey(document, offset);
      if (!key) return [];
      const taken = checkedOf(document).jobs.has(name) && name !== key.name;
      if (name.trim() === '' || taken)
        throw new TrainstashError(
          'paramInvalid',
          taken ? `There is a job "${name}" already. Nothing was changed.` : 'A job needs a name. Nothing was changed.',
          { param: 'newName', expected: 'a name that no job has' },
        );
      return [{ range: key.range, newText: JSON.stringify(name).slice(1, -1) }];
    },
  };
}

const checkedDocuments = new WeakMap<OpenDocument, CheckedConfig>();

/** Checks a document once for each of its texts: an editor asks several things about one. */
function checkedOf(document: OpenDocument): CheckedConfig {
  const known = checkedDocuments.get(document);
  if (known) return known;
  const checked = checkConfig(document.text.getText());
  checkedDocuments.set(document, checked);
  return checked;
}

/** Finds the name of a job at a place, between its quotes. */
function jobKey({ text }: OpenDocument, offset: number): { name: string; range: Range } | null {
  const { path, isAtPropertyKey, previousNode: node } = getLocation(text.getText(), offset);
  if (path[0] !== 'jobs' || path.length !== 2 || !isAtPropertyKey || node?.type !== 'property') return null;
  return { name: String(path[1]), range: rangeOf(text, node.offset + 1, node.length - 2) };
}

/** Begins a text with a capital letter, unless it begins with a name. */
function sentence(text: string): string {
  return /^[a-z]+ /.test(text) ? text[0]!.toUpperCase() + text.slice(1) : text;
}
