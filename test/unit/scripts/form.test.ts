import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { foldersInCircles } from '../../../scripts/folder-circles.ts';
import { findings, longFunctions, matchesOfText, scriptsInStrings } from '../../../scripts/form.ts';
import { temporaryFolder } from '../../support/folder.ts';

test.each([
  ["if (error.message.includes('locked')) retry();"],
  ["return (error as Error).message.startsWith('ENOENT');"],
  ['if (/killed/.test(run.reason!)) return;'],
  ["if (run.reason === 'paused') return;"],
  ["return error.constructor?.name === 'FileChanged';"],
  ['    if "CUDA" in str(error):'],
  ['    return str(error).startswith("out of")'],
])('%s decides by the text of a message', (line) => {
  expect(matchesOfText(`const a = 1;\n${line}\n`)).toEqual([2]);
});

test.each([
  ["if (error.code === 'ENOENT') return;"],
  ['if (run.reason === null) return;'],
  ['console.error(error.message);'],
  ['lines.includes(error.message);'],
])('%s does not', (line) => {
  expect(matchesOfText(line)).toEqual([]);
});

test('a function of Python ends where another line stands at its indentation, and not at the end of its signature', () => {
  const body = (lines: number) => Array.from({ length: lines }, () => '        a = 1').join('\n');
  const text = `class A:\n    def short(self):\n${body(2)}\n\n    def long(\n        self,\n    ) -> None:\n${body(4)}\n\n\nb = 2\n`;
  expect(longFunctions(text, 6)).toEqual(['6 long']);
});

test('a script in Python belongs into a file, unless it is short', () => {
  const script = (lines: number) => `const A = \`\nimport sys\n${'print(1)\n'.repeat(lines)}\`;\n`;
  expect(scriptsInStrings(`// first\n${script(5)}`, 5)).toEqual([2]);
  expect(scriptsInStrings(script(4), 5)).toEqual([]);
  expect(scriptsInStrings(`const A = \`\nimport sys;\n${'print(1)\n'.repeat(9)}\`;\n`, 5)).toEqual([]);
});

test('folders are in a circle if their imports lead back, over whatever folder', () => {
  const root = temporaryFolder();
  const file = (path: string, ...imports: string[]) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), imports.map((name) => `import { a } from '${name}';\n`).join(''));
  };
  file('top/main.ts', './a/a.ts', './b/b.ts', '../other/x.ts');
  file('top/a/a.ts', '../b/b.ts', './own.ts');
  file('top/b/b.ts', '../c/c.ts');
  file('top/c/c.ts');
  file('other/x.ts', '../top/main.ts');
  expect(foldersInCircles(root, 'top')).toEqual([]);
  file('top/c/c.ts', '../a/a.ts');
  expect(foldersInCircles(root, 'top')).toEqual(['top/a', 'top/b', 'top/c']);
});

test('the sources keep to the form', () => {
  expect(
    Object.entries(findings(join(import.meta.dirname, '../../..'))).filter(([, places]) => places.length > 0),
  ).toEqual([]);
});
