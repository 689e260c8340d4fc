/** Finds the parts that a resume with the original code does not bring back by itself: interpreter, packages, editable installs. */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isPython } from '../../../base/python-words.ts';
import type { Checkpoint } from '../../../protocol/domain.ts';
import type { PreflightDifference } from '../../../protocol/errors.ts';
import { type ProjectContext, sessionOf } from '../context.ts';
import { type EditableInstall, editableInstalls } from './python-facts.ts';

/** Files that say which packages belong to a commit. The first one decides: the others are often made of it. */
export const LOCKS = ['uv.lock', 'conda-lock.yml', 'requirements.txt'] as const;
export type Lock = (typeof LOCKS)[number];

/** Names the lock file of a folder; null: it has none. */
export function lockIn(folder: string): Lock | null {
  return LOCKS.find((name) => existsSync(join(folder, name))) ?? null;
}

/** Names the original lock file that is another one today; null: there is none. */
export function lockOfThen(folder: string, root: string): Lock | null {
  const name = lockIn(folder);
  if (name === null) return null;
  const now = join(root, name);
  const isSame = existsSync(now) && readFileSync(now).equals(readFileSync(join(folder, name)));
  return isSame ? null : name;
}

/** Returns the Python of the checkpoint's own session; null: it is not known, or gone, as where the command begins with `uv`. */
export function pythonOfThen(context: ProjectContext, checkpoint: Checkpoint | null): string | null {
  const then = checkpoint && sessionOf(context, checkpoint.session).launch()?.command?.words[0];
  return then && isPython(then) && existsSync(then) ? then : null;
}

/**
 * Lists the differences of the interpreter. `program`: that of the command today; null: it is no Python, or is not known. Asks it which
 * packages are imported from the project's own folder. `isRebuilt`: it is of an environment that was made for the original code.
 */
export async function interpreterDifferences(
  { place, ...context }: ProjectContext,
  checkpoint: Checkpoint | null,
  program: string | null,
  environment: Record<string, string>,
  isRebuilt: boolean,
): Promise<PreflightDifference[]> {
  if (program === null) return [];
  const then = pythonOfThen({ place, ...context }, checkpoint);
  const isOther = then !== null && then !== program && !isRebuilt;
  const editable = await editableInstalls(program, environment);
  return [
    ...(isOther
      ? [{ kind: 'runtime' as const, name: 'interpreter', checkpoint: `${then} (--python ${then})`, current: program }]
      : []),
    ...editable.filter(isIn(place.root)).map(({ name, path }) => ({
      kind: 'package' as const,
      name,
      checkpoint: 'the original code',
      current: `installed in editable mode, so it is imported from ${path}`,
    })),
  ];
}

function isIn(root: string): (install: EditableInstall) => boolean {
  return ({ path }) => {
    const inside = relative(root, path);
    return inside === '' || !/^\.\.|^\/|^[A-Za-z]:/.test(inside);
  };
}
