/** Makes the folder that all editors of a run share: the package of the extension, the extension as it is installed, and a server for each worker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endSharedEditors } from './shared-editor.ts';

// biome-ignore lint/style/noDefaultExport: vitest wants a default export.
export default function setup(): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  process.env.TRAINSTASH_TEST_EDITOR = folder;
  return async () => {
    await endSharedEditors(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
}
