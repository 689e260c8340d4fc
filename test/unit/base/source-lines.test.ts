import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { withSourceLines } from '../../../base/source-lines.ts';
import { withSourceRoot } from '../../../scripts/source-maps.mjs';
import { temporaryFolder } from '../../support/folder.ts';

test('a stack trace of a bundle names the lines of its sources, wherever the bundle was copied', async () => {
  const folder = temporaryFolder();
  const copy = join(folder, 'elsewhere/deep');
  mkdirSync(join(folder, 'daemon'));
  mkdirSync(copy, { recursive: true });
  const source =
    'export interface Unused {\n  a: 1;\n}\n\nfunction fail(): never {\n  throw new Error("x");\n}\n\nfail();\n';
  writeFileSync(join(folder, 'daemon/broken.ts'), source);
  const { outputFiles } = await build({
    absWorkingDir: folder,
    entryPoints: ['daemon/broken.ts'],
    outdir: 'dist',
    format: 'cjs',
    sourcemap: 'linked',
    sourcesContent: false,
    write: false,
  });
  const [map, bundle] = outputFiles;
  const path = join(copy, 'broken.js');
  writeFileSync(path, bundle!.text);
  writeFileSync(`${path}.map`, withSourceRoot(map!.text));
  // In a process of its own: vitest translates stack traces, too.
  const { stderr } = spawnSync(process.execPath, [path], { encoding: 'utf8' });
  expect(stderr).toContain(path);
  expect(withSourceLines(stderr)).toMatch(/at fail \(daemon\/broken\.ts:6:9\)/);
});

test('a place in a file without a map, and text without places, stay as they are', () => {
  const text =
    'Error: a\n    at f (file:///nowhere/x.js:1:2)\n    at /nowhere/y.cjs:3:4\n    at node:fs:12:3\nno place';
  expect(withSourceLines(text)).toBe(text);
});

test('a map that is no map is left alone', () => {
  const folder = temporaryFolder();
  for (const content of ['', '{}', '[]', 'null', '{"version":3}', '{"version":3,"sources":[],"mappings":"!!"}']) {
    writeFileSync(join(folder, 'x.js.map'), content);
    const place = `at ${join(folder, 'x.js')}:1:1`;
    expect(withSourceLines(place)).toBe(place);
  }
});
