/**
 * Starts to make the environments of frameworks, which takes minutes the first time, beside the tests that need none of them. Those that do
 * wait with `environmentsMade`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// biome-ignore lint/style/noDefaultExport: vitest wants a default export.
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  const making = join(folder, 'making');
  const script = join(import.meta.dirname, 'framework-environments-process.ts');
  const child = spawn(process.execPath, [script, making], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  writeFileSync(making, String(child.pid));
  process.env.TRAINSTASH_TEST_MAKING = making;
  return () => {
    try {
      // The whole group: pip is its child.
      if (child.exitCode === null) process.kill(-child.pid!, 'SIGTERM');
    } catch {
      // It has ended.
    }
    rmSync(folder, { recursive: true, force: true });
  };
}
