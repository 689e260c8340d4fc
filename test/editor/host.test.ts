/** The suite of test/host, inside the extension host of a real VS Code, against the packed extension. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { format } from 'node:util';
import { build } from 'esbuild';
import { expect, test, vi } from 'vitest';
import { makeFixture } from '../support/daemon.ts';
import { editorParts, openEditor } from '../support/editor.ts';

vi.setConfig({ testTimeout: 240_000 });

test('what only the extension host can see', async (context) => {
  const parts = await editorParts();
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const beside = join(fixture.folder, 'beside');
  mkdirSync(beside);
  writeFileSync(
    join(beside, 'package.json'),
    JSON.stringify({ name: 'beside', publisher: 'trainstash-test', version: '1.0.0', engines: { vscode: '^1.101.0' } }),
  );
  await build({
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    entryPoints: [resolve(import.meta.dirname, '../host/suite.ts')],
    outfile: join(beside, 'suite.js'),
    external: ['vscode'],
    logLevel: 'warning',
    // Not bundled: it finds its reporters by path.
    plugins: [
      {
        name: 'mocha',
        setup: (made) =>
          made.onResolve({ filter: /^mocha$/ }, () => ({
            path: resolve(import.meta.dirname, '../../node_modules/mocha/index.js'),
            external: true,
          })),
      },
    ],
  });
  const lines: string[] = [];
  const editor = await openEditor(parts, {
    folder: fixture.root,
    state: fixture.env.TRAINSTASH_STATE!,
    suite: { extension: beside, tests: join(beside, 'suite.js'), log: (args) => lines.push(format(...args)) },
  });
  const code = await editor.suiteExit;
  const text = lines.join('\n');
  expect(text).toMatch(/8 passing/);
  expect(code, text).toBe(0);
});
