import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { explainedCodes, explanationOf } from '../../../client/explanations.ts';
import { temporaryFolder } from '../../support/folder.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
/** Codes whose messages say everything. */
const SAY_ALL = ['notFound', 'ambiguous', 'unauthorized', 'invalidParams', 'timeout', 'cancelled', 'internal'];

test('without its page an error has no explanation, and nothing fails', () => {
  expect(explanationOf(temporaryFolder(), 'corrupted')).toBe(null);
  expect(explanationOf(ROOT, 'nothingOfThisName')).toBe(null);
});

test('each error has a section on the page unless its message says everything, and the page has no other sections', () => {
  const source = readFileSync(join(ROOT, 'protocol/errors.ts'), 'utf8');
  const declared = source.slice(source.indexOf('interface ErrorData'), source.indexOf('export type ErrorCode'));
  const codes = [...declared.matchAll(/^ {2}(\w+):/gm)].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(30);
  const explained = explainedCodes(ROOT, ['errors.md']);
  expect(explained.sort()).toEqual(codes.filter((code) => !SAY_ALL.includes(code)).sort());
  for (const code of explained) expect(explanationOf(ROOT, code)!.text.length).toBeGreaterThan(80);
});

test('a name is found however it is written', () => {
  expect(explanationOf(ROOT, 'STOREOWNED')).toMatchObject({
    code: 'storeOwned',
    text: expect.stringContaining('daemon stop'),
  });
  expect(explanationOf(ROOT, 'loopvariable')).toMatchObject({
    code: 'loopVariable',
    text: expect.stringContaining('run.state'),
    page: join(ROOT, 'docs/diagnostics.md'),
  });
});
