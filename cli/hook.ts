/**
 * The `post-checkout` hook that makes `git switch b && python train.py` safe: git waits for it. It is installed on request, beside
 * the project's own hook, which keeps its own name since hooks may look at `$0`.
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
/** Name under which pre-commit runs the hook that was there before it. */
const RUN_BY_OTHERS = `${NAME}.legacy`;
const ORIGINAL_LINK = '.original-link';
const RECORD = 'hook.json';

export interface Installed {
  path: string;
  /** True if the project's own hook is there and runs too. */
  kept: boolean;
  /** File that an earlier version set aside and that nothing runs. */
  leftover: string | null;
}

/** Installs the hook. `command`: program and script that it runs. `shared`: also into a folder that others use. */
export function installHook(project: Project, root: string, command: readonly string[], shared: boolean): Installed {
  const place = usableFolder(root, shared);
  const path = join(place.folder, NAME);
  removeFormer(place.folder);
  const lines = hookLines(command);
  mkdirSync(place.folder, { recursive: true });
  const legacy = join(place.folder, RUN_BY_OTHERS);
  const target = textOf(path) !== null && !hasLines(textOf(path)!) && hasLines(textOf(legacy) ?? '') ? legacy : path;
  const kept = addLines(place, target, lines);
  writeFileSync(join(project.store, RECORD), JSON.stringify({ path, script: command.at(-1) }));
  const leftover = join(place.folder, FORMERLY_KEPT);
  return { path, kept: kept || target === legacy, leftover: existsSync(leftover) ? leftover : null };
}

/** Removes the hook and restores the one that was there before. Returns false if there was none of ours. */
export function removeHook(project: Project, root: string, shared: boolean): boolean {
  const place = usableFolder(root, shared);
  const earlier = recordOf(project)?.path;
  rmSync(join(project.store, RECORD), { force: true });
  const former = removeFormer(place.folder);
  const paths = new Set([join(place.folder, NAME), join(place.folder, RUN_BY_OTHERS), ...(earlier ? [earlier] : [])]);
  return [...paths].map(removeLines).some(Boolean) || former;
}

/** Returns the path of the installed hook; null: it was never installed. */
export function installedHook(project: Pick<Project, 'store'>): string | null {
  return recordOf(project)?.path ?? null;
}

/** Describes problems of the installed hook; empty if it runs or was never installed. */
export function hookAdvice(root: string, project: Pick<Project, 'store' | 'git'>): string[] {
  const record = recordOf(project);
  if (!record || !project.git) return [];
  const place = hooksFolder(root);
  if (!place) return [];
  const path = join(place.folder, NAME);
  const again = '`trainstash hook install` reinstalls it; `trainstash hook remove` ends this notice.';
  const runs = [path, join(place.folder, RUN_BY_OTHERS)].some((one) => isExecutable(one) && isOurs(textOf(one) ?? ''));
  if (!runs)
    return [
      `The hook is gone: ${path} no longer calls Trainstash (npm install, among others, rewrites hooks). ${again}`,
    ];
  return existsSync(record.script)
    ? []
    : [`The hook in ${path} calls ${record.script}, which no longer exists. ${again}`];
}

function usableFolder(root: string, shared: boolean): HooksFolder {
  const place = hooksFolder(root);
  if (!place) throw refused(`git does not report the hooks folder of ${root}`);
  const { folder, isOwn, isTracked, namedIn } = place;
  const named = `core.hooksPath${namedIn ? ` (in ${namedIn})` : ''} is ${folder}`;
  if (isTracked) throw refused(`${named}, which git tracks. Add the line \`trainstash sync --quiet\` to its ${NAME}`);
  if (existsSync(folder) && !statSync(folder).isDirectory())
    throw refused(`${named}, which is not a folder: hooks are turned off`);
  if (!isOwn && !shared)
    throw refused(
      `${named}, outside this repository: a hook there runs in every repository that uses that folder. \`trainstash hook install --shared\` installs it there anyway; it does nothing in repositories without a store. \`trainstash hook remove --shared\` removes it for all of them`,
    );
  return place;
}

/** Adds our lines to a hook, or creates one. Returns true if the project has a hook of its own there. */
function addLines({ folder, inTree }: HooksFolder, path: string, lines: string): boolean {
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
  if (inTree) throw refused(`${path} is a link or not a shell script. Call \`trainstash sync --quiet\` from it`);
  const runs = isExecutable(path);
  putAside(folder, path, entry);
  replace(path, wholeHook(lines, { path: join(aside, NAME), runs }), 0o755);
  return runs;
}

/**
 * Moves a hook that is a link or not a shell script to a folder beside its own, from where it runs: at the same depth, under its
 * own name and with its neighbours, since it may look for them.
 */
function putAside(folder: string, path: string, entry: Stats): void {
  const aside = asideOf(folder);
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside);
  for (const name of readdirSync(folder)) if (name !== NAME) symlinkSync(join(folder, name), join(aside, name));
  if (entry.isSymbolicLink()) symlinkSync(resolve(folder, readlinkSync(path)), join(aside, NAME));
  renameSync(path, join(aside, entry.isSymbolicLink() ? ORIGINAL_LINK : NAME));
}

/** Removes our lines from a hook, or the hook if it contains nothing else. */
function removeLines(path: string): boolean {
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

/** Removes the hook of version 0.1 and puts the project's own back into its place. */
function removeFormer(folder: string): boolean {
  const path = join(folder, NAME);
  const kept = join(folder, FORMERLY_KEPT);
  const text = textOf(path);
  if (text !== null && isFormer(text)) {
    if (lstatSync(kept, { throwIfNoEntry: false })) renameSync(kept, path);
    else rmSync(path);
    return true;
  }
  // The hook was rewritten since: the file set aside is a copy.
  if (text !== null && textOf(kept) === text) rmSync(kept);
  return false;
}

function asideOf(folder: string): string {
  return `${folder}.before-trainstash`;
}

function isOurs(text: string): boolean {
  return hasLines(text) || isFormer(text);
}

/** Replaces a file atomically: git may run it at any moment. */
function replace(path: string, text: string, mode: number): void {
  const temporary = `${path}.trainstash-tmp`;
  writeFileSync(temporary, text, { encoding: 'latin1', mode: 0o600 });
  chmodSync(temporary, mode & 0o7777);
  renameSync(temporary, path);
}

/** Reads a file as one character per byte, so that writing it restores the bytes; null: it does not exist or is not a file. */
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
