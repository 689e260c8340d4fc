/** docs/security.md names a test for each of its promises. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const text = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
/** Sections that promise nothing. */
const WITHOUT_PROMISES = ['Threat model', 'How this is tested', 'Not protected', 'Dependencies'];

const plain = (name: string) => name.replaceAll(/\s+/g, ' ').trim();

/** Names of tests in a part of the page: in italics, within parentheses. */
const namedIn = (part: string) =>
  [...part.matchAll(/(?<![*\w])\*(?!\*)([^*]+)\*(?!\*)/g)].map(([, name]) => plain(name!));

function filesIn(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name) && !name.includes('node_modules'))
    .map((name) => readFileSync(join(ROOT, folder, name), 'utf8'));
}

const LITERAL = String.raw`\(\s*(?:'((?:[^'\\\n]|\\.)+)'|"([^"\n]+)"|\`([^\`]+)\`)`;
/** A call such as `test(…`, `test.each(…)(…` or `onSmallDisk(…`, up to the first text behind it that is an argument of its own. */
const CALL = new RegExp(
  String.raw`\b(?:test|describe|it|onSmallDisk|onImage|onServer)(?:\.\w+)*(?:\((?:[^()]|\([^()]*\))*\))?${LITERAL}`,
  'g',
);

/** Lists the names of tests and of their groups; an ellipsis stands for the parts that differ. */
function namesOfTests(): string[] {
  const typescript = filesIn('test', /\.ts$/).flatMap((source) =>
    [...source.matchAll(CALL)].map(([, single, double, template]) =>
      plain((single ?? double ?? template!).replaceAll("\\'", "'").replaceAll(/\$\{[^}]*\}|%\w/g, '…')),
    ),
  );
  const python = filesIn('python/tests', /\.py$/).flatMap((source) =>
    [...source.matchAll(/^def (test_\w+)/gm)].map(([, name]) => name!),
  );
  return [...typescript, ...python];
}

/** Checks whether a test has that name, or one that goes on after it; an ellipsis in either stands for anything. */
function fits(named: string, name: string): boolean {
  const pattern = (parts: string) =>
    parts
      .split('…')
      .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*');
  const isMostlyOpen = name.replaceAll('…', '').length < 12;
  return new RegExp(`^${pattern(named)}`).test(name) || (!isMostlyOpen && new RegExp(`^${pattern(name)}$`).test(named));
}

test('every test that the page on security names exists', () => {
  const names = namesOfTests();
  const isThere = (named: string) =>
    names.some((name) => fits(named, name) || (named.startsWith(`${name} `) && hasTest(named.slice(name.length + 1))));
  const hasTest = (named: string) => names.some((name) => fits(named, name));
  const missing = namedIn(text).filter((named) => !isThere(named.replace(/ ?…$/, '')));
  expect(missing).toEqual([]);
});

test('every promise of the page on security names a test', () => {
  const sections = text.split(/^## /m).slice(1);
  const bare = sections
    .filter((section) => !WITHOUT_PROMISES.includes(section.split('\n')[0]!))
    .flatMap((section) => section.split(/^- /m).slice(1))
    .filter(
      (promise) => namedIn(promise).length === 0 && !/`test\/[\w/.-]+`/.test(promise) && !/^Not masked/.test(promise),
    );
  expect(bare).toEqual([]);
});

test('every file that the page on security names exists', () => {
  const named = [...text.matchAll(/`((?:test|protocol)\/[\w/.-]+)`/g)].map(([, path]) => path!);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
