/**
 * The `post-checkout` hook that makes `git switch b && python train.py` safe: git waits for it. Installed on request, beside
 * the project's own, which goes on under its own name: hooks look at `$0`.
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { Project } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import {
  hasLines,
  hookLines,
  isFormer,
  isOnlyOurs,
  isShellScript,
  wholeHook,
  withLines,
  withoutLines,
} from './hook-text.ts';
import { type HooksFolder, hooksFolder } from './hooks-folder.ts';

const NAME = 'post-checkout';
const FORMERLY_KEPT = `${NAME}.before-trainstash`;
/** pre-commit runs what was there before it. */
const RUN_BY_OTHERS = `${NAME}.legacy`;
const ORIGINAL_LINK = '.original-link';
const RECORD = 'hook.json';

export interface Installed {
  path: string;
  /** A hook of the project is there, and runs too. */
  kept: boolean;
  /** What an earlier version kept aside, and nothing runs. */
  leftover: string | null;
}

/** `command`: program and script that the hook runs. `shared`: also where others use the folder. */
export function installHook(project: Project, root: string, command: readonly string[], shared: boolean): Installed {
  const place = usableFolder(root, shared);
  const path = join(place.folder, NAME);
  takeFormerAway(place.folder);
  const lines = hookLines(command);
  mkdirSync(place.folder, { recursive: true });
  const legacy = join(place.folder, RUN_BY_OTHERS);
  const target = textOf(path) !== null && !hasLines(textOf(path)!) && hasLines(textOf(legacy) ?? '') ? legacy : path;
  const kept = writeInto(place, target, lines);
  writeFileSync(join(project.store, RECORD), JSON.stringify({ path, script: command.at(-1) }));
  const leftover = join(place.folder, FORMERLY_KEPT);
  return { path, kept: kept || target === legacy, leftover: existsSync(leftover) ? leftover : null };
}

/** The hook that was there before is as it was. False: there was none of ours. */
export function removeHook(project: Project, root: string, shared: boolean): boolean {
  const place = usableFolder(root, shared);
  const earlier = recordOf(project)?.path;
  rmSync(join(project.store, RECORD), { force: true });
  const former = takeFormerAway(place.folder);
  const paths = new Set([join(place.folder, NAME), join(place.folder, RUN_BY_OTHERS), ...(earlier ? [earlier] : [])]);
  return [...paths].map(takeOut).some(Boolean) || former;
}

/** Where it was installed; null: it was not asked for. */
export function installedHook(project: Pick<Project, 'store'>): string | null {
  return recordOf(project)?.path ?? null;
}

/** What is to be said of the hook that was installed here; nothing when it runs, or was never asked for. */
export function hookAdvice(root: string, project: Pick<Project, 'store' | 'git'>): string[] {
  const record = recordOf(project);
  if (!record || !project.git) return [];
  const place = hooksFolder(root);
  if (!place) return [];
  const path = join(place.folder, NAME);
  const again = '`trainstash hook install` puts it back, `trainstash hook remove` ends this notice.';
  const runs = [path, join(place.folder, RUN_BY_OTHERS)].some((one) => isExecutable(one) && isOurs(textOf(one) ?? ''));
  if (!runs)
    return [
      `The hook is gone: nothing of Trainstash is in ${path} (hooks are written anew by npm install, among others). ${again}`,
    ];
  return existsSync(record.script) ? [] : [`The hook in ${path} calls ${record.script}, which is not there. ${again}`];
}

function usableFolder(root: string, shared: boolean): HooksFolder {
  const place = hooksFolder(root);
  if (!place) throw refused(`git does not say where the hooks of ${root} are`);
  const { folder, isOwn, isTracked, namedIn } = place;
  const named = `core.hooksPath${namedIn ? ` (in ${namedIn})` : ''} is ${folder}`;
  if (isTracked) throw refused(`${named}, which git tracks. Add the line \`trainstash sync --quiet\` to its ${NAME}`);
  if (existsSync(folder) && !statSync(folder).isDirectory())
    throw refused(`${named}, and that is no folder: hooks are turned off`);
  if (!isOwn && !shared)
    throw refused(
      `${named}, outside of this repository: a hook there runs in every repository that names it. \`trainstash hook install --shared\` puts it there all the same, and it does nothing where Trainstash is not used; \`remove --shared\` takes it away for all`,
    );
  return place;
}

/** Puts our lines into a hook, or makes one. True: the project has a hook there. */
function writeInto({ folder, inTree }: HooksFolder, path: string, lines: string): boolean {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  const text = textOf(path);
  if (!entry || (text !== null && isOnlyOurs(text))) {
    replace(path, wholeHook(lines), 0o755);
    return false;
  }
  const aside = asideOf(folder);
  if (text !== null && isOurs(text) && existsSync(join(aside, NAME))) {
    const own = { path: join(aside, NAME), runs: isExecutable(join(aside, NAME)) };
    replace(path, wholeHook(lines, own), 0o755);
    return own.runs;
  }
  if (entry.isFile() && text !== null && isShellScript(text) && isExecutable(path)) {
    replace(path, withLines(text, lines), entry.mode);
    return true;
  }
  if (inTree) throw refused(`${path} is no shell script of its own. Call \`trainstash sync --quiet\` from it`);
  const runs = isExecutable(path);
  putAside(folder, path, entry);
  replace(path, wholeHook(lines, { path: join(aside, NAME), runs }), 0o755);
  return runs;
}

/**
 * A hook that is no shell script, or is a link, runs from a folder beside: as deep as its own, under its own name, with
 * its neighbours, since it may look for them.
 */
function putAside(folder: string, path: string, entry: Stats): void {
  const aside = asideOf(folder);
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside);
  for (const name of readdirSync(folder)) if (name !== NAME) symlinkSync(join(folder, name), join(aside, name));
  if (entry.isSymbolicLink()) symlinkSync(resolve(folder, readlinkSync(path)), join(aside, NAME));
  renameSync(path, join(aside, entry.isSymbolicLink() ? ORIGINAL_LINK : NAME));
}

/** Takes our lines out of a hook, or the hook away that is nothing else. */
function takeOut(path: string): boolean {
  const text = textOf(path);
  if (text === null || !hasLines(text)) return false;
  const aside = asideOf(resolve(path, '..'));
  const original = [ORIGINAL_LINK, NAME]
    .map((name) => join(aside, name))
    .find((one) => lstatSync(one, { throwIfNoEntry: false }));
  if (original && text.includes(aside)) {
    renameSync(original, path);
    rmSync(aside, { recursive: true, force: true });
  } else if (isOnlyOurs(text)) rmSync(path);
  else replace(path, withoutLines(text), statSync(path).mode);
  return true;
}

/** The hook of version 0.1 goes, and the project's own is back in its place. */
function takeFormerAway(folder: string): boolean {
  const path = join(folder, NAME);
  const kept = join(folder, FORMERLY_KEPT);
  const text = textOf(path);
  if (text !== null && isFormer(text)) {
    if (lstatSync(kept, { throwIfNoEntry: false })) renameSync(kept, path);
    else rmSync(path);
    return true;
  }
  // Somebody wrote the hook anew since: what was kept of it is a copy.
  if (text !== null && textOf(kept) === text) rmSync(kept);
  return false;
}

function asideOf(folder: string): string {
  return `${folder}.before-trainstash`;
}

function isOurs(text: string): boolean {
  return hasLines(text) || isFormer(text);
}

/** Whole or not at all: git may run it at any moment. */
function replace(path: string, text: string, mode: number): void {
  const temporary = `${path}.trainstash-tmp`;
  writeFileSync(temporary, text, { encoding: 'latin1', mode: 0o600 });
  chmodSync(temporary, mode & 0o7777);
  renameSync(temporary, path);
}

/** One character a byte, so that it goes back as it was; null: there is none, or it is no file. */
function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

function isExecutable(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true && (process.platform === 'win32' || (stat.mode & 0o111) !== 0);
}

function recordOf({ store }: Pick<Project, 'store'>): { path: string; script: string } | null {
  try {
    const record = JSON.parse(readFileSync(join(store, RECORD), 'utf8'));
    return typeof record?.path === 'string' && typeof record.script === 'string' ? record : null;
  } catch {
    return null;
  }
}

function refused(reason: string): TrainstashError {
  return new TrainstashError('protectedBy', `The hook was not changed: ${reason}.`, { what: NAME, reasons: [reason] });
}
