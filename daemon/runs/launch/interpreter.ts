/**
 * Finds the program that a command means, in the environment of the requesting client: the daemon has none of its own.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { isPython } from '../../../base/python-words.ts';
import { TrainstashError } from '../../../protocol/errors.ts';

const WINDOWS = process.platform === 'win32';
const PYTHON = /^python(3)?$/;

/**
 * Returns the words with the program's absolute path. A leading `python` is the client's choice, else the active
 * virtual or conda environment, else `.venv` of the project, else the one on PATH (which includes pyenv's shims).
 * Throws `commandMissing`.
 */
export function resolveProgram(
  words: readonly string[],
  where: { cwd: string; root: string; environment: Record<string, string>; interpreter?: string },
): [string, ...string[]] {
  const [program, ...rest] = words as [string, ...string[]];
  const candidates = PYTHON.test(program) ? pythons(program, where) : [];
  const searched = [...candidates, ...candidatesFor(program, where)];
  const found = searched.find(isExecutable);
  if (found) return [found, ...rest];
  throw new TrainstashError(
    'commandMissing',
    PYTHON.test(program)
      ? `No Python was found: looked at ${listText(searched)}. Nothing was started. Activate the environment in the shell, or select an interpreter in the editor.`
      : programProblem(program, searched),
    { program, searched },
  );
}

/** Says why a program cannot be started: it is missing, or is a file without the mode of a program. */
function programProblem(program: string, searched: readonly string[]): string {
  const [path] = searched;
  if (searched.length === 1 && statSync(path!, { throwIfNoEntry: false })?.isFile())
    return `"${program}" cannot be run: ${path} is not executable. Nothing was started. \`chmod +x\` makes it so, or name the program that reads it: \`bash ${program}\`.`;
  return `"${program}" was not found: looked at ${listText(searched)}. Nothing was started.`;
}

/** Lists the Pythons of a project that exist, those of the job's own command first. */
export function pythonsFor(run: readonly string[] | null, where: Parameters<typeof resolveProgram>[1]): string[] {
  const [program] = run ?? [];
  const own = program !== undefined && isPython(program) && !PYTHON.test(program) ? candidatesFor(program, where) : [];
  return [...own, ...pythons('python3', where)].filter(isExecutable);
}

function pythons(program: string, { root, environment, interpreter }: Parameters<typeof resolveProgram>[1]): string[] {
  const inside = (folder: string | undefined) =>
    folder ? [WINDOWS ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python')] : [];
  const conda = environment.CONDA_PREFIX;
  return [
    ...(interpreter ? [interpreter] : []),
    ...inside(environment.VIRTUAL_ENV),
    // Conda on Windows keeps it next to its folders.
    ...(conda ? [WINDOWS ? join(conda, 'python.exe') : join(conda, 'bin', 'python')] : []),
    ...inside(join(root, '.venv')),
    ...(environment.VIRTUAL_ENV || conda ? [] : inside(join(root, 'venv'))),
    // Many systems have only one of the two names.
    ...[program, program === 'python' ? 'python3' : 'python'].flatMap((name) => onPath(name, environment)),
  ];
}

function candidatesFor(program: string, { cwd, environment }: Parameters<typeof resolveProgram>[1]): string[] {
  if (isAbsolute(program)) return [program];
  if (/[/\\]/.test(program)) return [join(cwd, program)];
  return onPath(program, environment);
}

function onPath(program: string, environment: Record<string, string>): string[] {
  const folders = (environment.PATH ?? environment.Path ?? '').split(delimiter).filter(Boolean);
  const endings = WINDOWS ? ['.exe', '.cmd', '.bat', ''] : [''];
  return folders.flatMap((folder) => endings.map((ending) => join(folder, `${program}${ending}`)));
}

function isExecutable(path: string): boolean {
  try {
    if (!statSync(path).isFile()) return false;
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function listText(paths: readonly string[]): string {
  if (paths.length === 0) return 'an empty PATH';
  return paths.length <= 4 ? paths.join(', ') : `${paths.slice(0, 3).join(', ')} and ${paths.length - 3} more`;
}
