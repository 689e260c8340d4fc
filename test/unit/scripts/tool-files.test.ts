/** Files for tools that do not run here: workflows, templates, editors, containers. Their form is right, and what they name is there. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ParseError, parse as parseJson } from 'jsonc-parser';
import { describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';

const ROOT = join(import.meta.dirname, '../../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
const YAML_FILES = globSync('.github/**/*.yml', { cwd: ROOT });
const JSON_FILES = [...globSync('.vscode/*.json', { cwd: ROOT }), '.devcontainer/devcontainer.json', 'renovate.json'];

/** Returns the values of a key anywhere in a parsed file. */
function valuesOf(key: string, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [...(name === key ? [inner] : []), ...valuesOf(key, inner)]);
}

function parsedJson(path: string): unknown {
  const errors: ParseError[] = [];
  const value: unknown = parseJson(read(path), errors, { allowTrailingComma: false });
  expect(errors).toEqual([]);
  return value;
}

test.each(YAML_FILES)('%s is YAML', (path) => {
  expect(parseDocument(read(path)).errors.map(({ message }) => message)).toEqual([]);
});

test.each(JSON_FILES)('%s is JSON with comments', (path) => {
  expect(parsedJson(path)).toBeTypeOf('object');
});

test.each(globSync('.github/workflows/*.yml', { cwd: ROOT }))('%s runs scripts and tests that exist', (path) => {
  const commands = valuesOf('run', parseDocument(read(path)).toJS()).filter((run) => typeof run === 'string');
  const named = commands.flatMap((command) => [...command.matchAll(/npm run (?:--silent )?([\w:]+)/g)]);
  expect(named.map(([, name]) => name!).filter((name) => !(name in scripts))).toEqual([]);
  const tests = commands.flatMap((command) => [...command.matchAll(/\btest\/[\w/.-]+/g)]);
  expect(tests.map(([file]) => file).filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});

describe('tasks and launches of the editor', () => {
  test('a task runs a script that exists, and waits for tasks that exist', () => {
    const tasks = valuesOf('tasks', parsedJson('.vscode/tasks.json')).flat() as { label: string }[];
    const labels = tasks.map(({ label }) => label);
    expect(valuesOf('script', tasks).filter((name) => !(String(name) in scripts))).toEqual([]);
    expect(
      valuesOf('dependsOn', tasks)
        .flat()
        .filter((label) => !labels.includes(String(label))),
    ).toEqual([]);
    const before = valuesOf('preLaunchTask', parsedJson('.vscode/launch.json'));
    expect(before.filter((label) => !labels.includes(String(label)))).toEqual([]);
  });
});

test('the release finds the section of this version in the changelog', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const sections = [...read('CHANGELOG.md').matchAll(/^## (\S+)/gm)].map(([, name]) => name);
  expect(sections[0]).toBe(`[${version}]`);
});

test('each line of CODEOWNERS is a pattern and its owners', () => {
  const lines = read('.github/CODEOWNERS').split('\n').filter(Boolean);
  for (const line of lines) expect(line).toMatch(/^(#.*|\S+( @[\w-]+(\/[\w-]+)?)+)$/);
});
