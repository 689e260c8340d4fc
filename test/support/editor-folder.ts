/** Makes the folder that all editors of a run share: the package of the extension, and the extension as it is installed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// biome-ignore lint/style/noDefaultExport: vitest wants a default export.
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  process.env.TRAINSTASH_TEST_EDITOR = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
