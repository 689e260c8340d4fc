import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CODES } from '../../../../daemon/language/codes.ts';

test('each code of a diagnostic has a section in docs/diagnostics.md, and each section is of a code', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/diagnostics.md'), 'utf8');
  expect(Array.from(page.matchAll(/^## (\w+)$/gm), ([, code]) => code).filter((code) => code !== 'Python')).toEqual(
    Object.keys(CODES),
  );
});
