import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CODES } from '../../../../daemon/language/codes.ts';
import sentences from '../../../../protocol/rules/findings.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../../../..');

/** Reads the codes by which the Python package names what a checkpoint lacks. */
function codesOfPython(): string[] {
  const source = readFileSync(join(ROOT, 'python/src/trainstash/findings.py'), 'utf8');
  return Array.from(source.matchAll(/^[A-Z_]+ = "(\w+)"$/gm), ([, code]) => code!);
}

test('each code of a mark or of a loss has a section in docs/diagnostics.md, and each section is of a code', () => {
  const page = readFileSync(join(ROOT, 'docs/diagnostics.md'), 'utf8');
  const sections = Array.from(page.matchAll(/^## (\w+)$/gm), ([, code]) => code).filter((code) => code !== 'Python');
  expect(sections).toEqual([...new Set([...Object.keys(CODES), ...codesOfPython()])]);
});

test('what a text and a running script both tell has one sentence', () => {
  const shared: string[] = Object.keys(sentences);
  expect(shared).toEqual(codesOfPython().filter((code) => code in CODES));
});
