/** The `post-checkout` hook that makes `git switch b && python train.py` safe: git waits for it. Installed on request. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { TrainstashError } from '../protocol/errors.ts';

const NAME = 'post-checkout';
const EARLIER = `${NAME}.before-trainstash`;
const MARK = '# Installed by `trainstash hook install`; `trainstash hook remove` takes it away again.';

/** `command`: program and arguments that the hook runs, as they are on this machine. */
export function installHook(root: string, command: readonly string[]): { path: string; kept: boolean } {
  const folder = hooksFolder(root);
  const path = join(folder, NAME);
  const script = hookScript(command);
  if (existsSync(path) && !isOurs(path)) {
    if (existsSync(join(folder, EARLIER)))
      throw refused(`${path} and ${EARLIER} are both there, so which one to keep is not clear`);
    renameSync(path, join(folder, EARLIER));
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return { path, kept: existsSync(join(folder, EARLIER)) };
}

/** The hook that was there before is back. False: there was none of ours. */
export function removeHook(root: string): boolean {
  const folder = hooksFolder(root);
  const path = join(folder, NAME);
  if (!existsSync(path) || !isOurs(path)) return false;
  rmSync(path);
  if (existsSync(join(folder, EARLIER))) renameSync(join(folder, EARLIER), path);
  return true;
}

function hooksFolder(root: string): string {
  const asked = git(root, 'rev-parse', '--git-path', 'hooks');
  if (asked === null) throw refused(`${root} is no git repository`);
  const folder = resolve(root, asked);
  const inside = relative(root, join(folder, NAME));
  // A folder that the repository tracks belongs to everybody who clones it.
  if (!inside.startsWith('..') && !inside.startsWith('.git/') && git(root, 'ls-files', '--', relative(root, folder)))
    throw refused(
      `core.hooksPath is ${folder}, which git tracks. Add the line \`trainstash sync --quiet\` to its ${NAME}`,
    );
  return folder;
}

function hookScript(command: readonly string[]): string {
  const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return `#!/bin/sh
${MARK}
here=$(dirname "$0")
status=0
if [ -x "$here/${EARLIER}" ]; then
  "$here/${EARLIER}" "$@" || status=$?
fi
# The third argument is 1 when a branch was checked out, 0 for single files.
if [ "$3" = 1 ] && [ -e ${words.at(-1)} ]; then
  ${words.join(' ')} sync --quiet >&2 </dev/null || true
fi
exit $status
`;
}

function isOurs(path: string): boolean {
  return readFileSync(path, 'utf8').includes(MARK);
}

function git(root: string, ...args: string[]): string | null {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

function refused(reason: string): TrainstashError {
  return new TrainstashError('protectedBy', `The hook was not changed: ${reason}.`, { what: NAME, reasons: [reason] });
}
