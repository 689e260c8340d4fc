/** The suite of test/host, inside the extension host of a real VS Code, against the packed extension. */
import { format } from 'node:util';
import { expect, test } from 'vitest';
import { packExtension, platforms } from '../../scripts/vsix.ts';
import { editorParts, openEditor } from '../support/editor.ts';
import { makeHostSuite } from '../support/host-suite.ts';

test('what only the extension host can see', async (context) => {
  const parts = await editorParts();
  if (!parts) return context.skip();
  // The other tests use the universal package.
  const platform = platforms.find((name) => name === `${process.platform}-${process.arch}`);
  if (platform) parts.vsix = await packExtension({ platform });
  const { fixture, extension, tests, others, passing } = await makeHostSuite();
  const lines: string[] = [];
  const editor = await openEditor(parts, {
    folder: fixture.root,
    state: fixture.env.TRAINSTASH_STATE!,
    others,
    suite: { extension, tests, log: (args) => lines.push(format(...args)) },
  });
  const code = await editor.suiteExit;
  const said = lines.join('\n');
  // Earlier output is the editor's own.
  const text = said.slice(said.indexOf('the packed extension'));
  expect(text).toContain(`${passing} passing`);
  expect(code, text).toBe(0);
});
