// Builds again whenever a source changes: the background task of .vscode/tasks.json, which waits for the two lines printed.
import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { join } from 'node:path';

/** Editors write a file in several steps. */
const QUIET_MS = 100;

/** Never returns. Each build is a process of its own, so that one that fails ends nothing. */
export async function watchSources(root, folders) {
  let timer = null;
  let isBuilding = false;
  let isStale = false;
  const start = async () => {
    if (isBuilding) {
      isStale = true;
      return;
    }
    isBuilding = true;
    do {
      isStale = false;
      console.log('[build] started');
      const code = await build(root);
      console.log(code === 0 ? '[build] finished' : `[build] finished with errors (exit ${code})`);
    } while (isStale);
    isBuilding = false;
  };
  for (const folder of folders)
    watch(join(root, folder), { recursive: true }, () => {
      clearTimeout(timer);
      timer = setTimeout(start, QUIET_MS);
    });
  await start();
  await new Promise(() => {});
}

function build(root) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root, stdio: 'inherit' });
    child.once('error', () => resolve(1));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
