/**
 * Environments that runs are launched with. They exist in memory only; only the names of variables outlive a daemon.
 */
import { TrainstashError } from '../../../protocol/errors.ts';
import { resolveProgram } from './interpreter.ts';

export interface Environment {
  environment: Record<string, string>;
  /** Python that a leading `python` in the command means. */
  interpreter?: string;
}

/** Returns the environment of the shell or editor that has started this daemon. */
export function ownEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** Variables that belong to a shell, a terminal or an editor: no training depends on them. */
const SHELL_VARIABLES =
  /^(_|SHLVL|PWD|OLDPWD|INIT_CWD|SHELL|COLUMNS|LINES|TERM(_.*)?|COLORTERM|PS\d|LS_COLORS|HIST.*|STY|WINDOW(ID|PATH)?|DISPLAY|XAUTHORITY|DBUS_.*|XDG_.*|SSH_.*|GPG_.*|TMUX.*|VTE_.*|VSCODE_.*|ELECTRON_.*|CHROME_.*|GIT_ASKPASS|npm_.*|NODE_.*|DEBUGINFOD_URLS|MAIL|LOGNAME|USERNAME|TRAINSTASH_.*)$/;

export function namesOf(environment: Readonly<Record<string, string>>): string[] {
  return Object.keys(environment)
    .filter((name) => !SHELL_VARIABLES.test(name))
    .sort();
}

export interface Needs {
  /** Names of the variables; null: unknown. */
  variables: readonly string[] | null;
  /** Words of the command; null: the job has none. */
  words: readonly string[] | null;
  /** Path of the program at the time of queueing. */
  program: string | null;
  cwd: string;
  root: string;
}

/** Explains why this environment cannot launch the run as intended; null: it can. */
export function obstacleOf({ environment, interpreter }: Environment, needs: Needs): string | null {
  if (needs.variables === null) return 'its variables are not known';
  const missing = needs.variables.filter((name) => environment[name] === undefined);
  if (missing.length > 0)
    return `${missing.slice(0, 3).join(', ')} ${missing.length === 1 ? 'is' : 'are'} not set here`;
  if (needs.words === null || needs.program === null) return null;
  const program = programOf(needs.words, { ...needs, environment, interpreter });
  if (program === needs.program) return null;
  return `${needs.words[0]} is ${program ?? 'missing'} here, and was ${needs.program}`;
}

/** Resolves the program; null: there is none. */
export function programOf(words: readonly string[], where: Parameters<typeof resolveProgram>[1]): string | null {
  try {
    return resolveProgram(words, where)[0];
  } catch (error) {
    if (error instanceof TrainstashError) return null;
    throw error;
  }
}
