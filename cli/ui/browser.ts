/** Opens a browser. The address is in a file of the state folder: on a command line every user of the machine could read it. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { statePaths } from '../../base/paths.ts';

/** Tells whether a browser that is started here would be seen. */
export function canOpen({ env, platform }: Pick<NodeJS.Process, 'env' | 'platform'>): boolean {
  if (env.SSH_CONNECTION) return false;
  return platform === 'darwin' || platform === 'win32' || Boolean(env.DISPLAY || env.WAYLAND_DISPLAY);
}

/** Opens the link. Returns a function that removes the file. */
export function openBrowser(link: string): () => void {
  const file = join(statePaths().directory, `ui-${randomBytes(8).toString('hex')}.html`);
  const page = `<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=${link}"><title>Trainstash</title>`;
  writeFileSync(file, page, { mode: 0o600, flag: 'wx' });
  const [program, ...words] =
    process.platform === 'darwin'
      ? ['open', file]
      : process.platform === 'win32'
        ? ['explorer.exe', file]
        : ['xdg-open', file];
  const child = spawn(program!, words, { stdio: 'ignore', detached: true });
  // Without such a program the printed link remains.
  child.on('error', () => {});
  child.unref();
  return () => rmSync(file, { force: true });
}
