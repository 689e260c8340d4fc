/** Finds the Node for a backend's process. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const REQUIRED = [22, 15] as const;
const PROBE_MS = 5_000;

/**
 * Finds a plain Node on PATH: VS Code's own forbids the buffers that native backends make. Null where there is none.
 */
export async function plainNode(path: string): Promise<string | null> {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  for (const folder of path.split(delimiter)) {
    const node = join(folder, name);
    if (folder !== '' && existsSync(node) && isNewEnough(await versionOf(node))) return node;
  }
  return null;
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > REQUIRED[0] || (major === REQUIRED[0] && minor >= REQUIRED[1]);
}

function versionOf(node: string): Promise<string> {
  const code = 'process.versions.electron ? "0" : process.versions.node';
  // Without the variables that make Electron act as Node.
  const { ELECTRON_RUN_AS_NODE: _, NODE_OPTIONS: __, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(node, ['-p', code], { timeout: PROBE_MS, env }, (error, stdout) => resolve(error ? '' : stdout.trim()));
  });
}
