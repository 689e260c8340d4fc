/** Reads and writes the small files of a session directory; see `protocol/session.ts` for each file's meaning. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, syncDirectory, writeJson } from '../base/files.ts';
import { inside } from '../base/inside.ts';
import { maskParams, maskText } from '../protocol/secrets.ts';
import {
  type Control,
  controlSchema,
  type ExitRecord,
  exitSchema,
  inputSchema,
  type Launch,
  launchSchema,
  type ProcessRecord,
  processSchema,
  SESSION_FILES,
  type TerminalInput,
} from '../protocol/session.ts';

/** Prefix of a path in the run's own folder, not in the project. */
export const OWN_FOLDER = '@dir';
/** Prefix in `taking` for a checkpoint that could not be read: it is not tried again while its session is followed. */
export const SET_ASIDE = 'bad-';

let inputsWritten = 0;

export class SessionDirectory {
  readonly path: string;
  readonly id: string;

  constructor(path: string) {
    this.path = path;
    this.id = path.split(/[/\\]/).pop()!;
  }

  /** Returns a file's path. Throws `unsafeName` for a link: a session has none. */
  file(name: keyof typeof SESSION_FILES): string {
    return inside(this.path, SESSION_FILES[name]);
  }

  /** Tells whether the directory contains no link: a link could lead to files that nobody handed over. */
  isIntact(): boolean {
    return Object.values(SESSION_FILES).every((name) => {
      const stat = lstatSync(join(this.path, name), { throwIfNoEntry: false });
      return !stat?.isSymbolicLink();
    });
  }

  /** Makes the directory and writes the launch file; durable before it returns. */
  static create(sessions: string, launch: Launch): SessionDirectory {
    const directory = new SessionDirectory(join(sessions, launch.session));
    for (const name of ['inbox', 'taking'] as const) mkdirSync(directory.file(name), { recursive: true });
    writeJson(directory.file('launch'), launch, true);
    syncDirectory(directory.path);
    return directory;
  }

  launch(): Launch | null {
    return parse(launchSchema, readJson(this.file('launch')));
  }

  exit(): ExitRecord | null {
    return parse(exitSchema, readJson(this.file('exit')));
  }

  /** True: somebody has removed it, and nothing that is tried again can work. */
  get isGone(): boolean {
    return !existsSync(this.path);
  }

  /** Writes the exit record. Returns false when that failed. */
  writeExit(record: ExitRecord): boolean {
    try {
      writeJson(this.file('exit'), maskExit(record), true);
      syncDirectory(this.path);
      return true;
    } catch {
      return false;
    }
  }

  control(): Control | null {
    return parse(controlSchema, readJson(this.file('control')));
  }

  writeControl(control: Control): void {
    writeJson(this.file('control'), control);
  }

  process(): ProcessRecord | null {
    return parse(processSchema, readJson(this.file('process')));
  }

  /** Writes the process record. `child` is the command that this runner has started, in its own process session. */
  writeProcess(child: number | null = null): void {
    const record: ProcessRecord = {
      child: child === null ? null : { pid: child, startTime: startTimeOf(child) },
      pid: process.pid,
      startTime: startTimeOf(process.pid),
      host: hostname(),
      bootId: bootId(),
    };
    writeJson(this.file('process'), record);
  }

  /** Takes the terminal input that was not read yet, in order, and removes it. */
  takeInput(): TerminalInput[] {
    return namesIn(this.file('input'))
      .filter((name) => !name.startsWith('.'))
      .flatMap((name) => {
        const path = join(this.file('input'), name);
        const input = parse(inputSchema, readJson(path));
        rmSync(path, { force: true });
        return input ?? [];
      });
  }

  writeInput(input: TerminalInput): void {
    const folder = this.file('input');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Names sort in the order of writing; only one daemon writes.
    const name = `${String(Date.now()).padStart(15, '0')}-${String(inputsWritten++).padStart(9, '0')}`;
    const temporary = join(folder, `.${name}`);
    writeJson(temporary, input);
    renameSync(temporary, join(folder, name));
  }

  /** Lists complete checkpoints that were not claimed yet, the oldest first. */
  inbox(): string[] {
    return listFolders(this.file('inbox')).filter((name) => !name.startsWith('.'));
  }

  /** Lists checkpoints that a daemon has claimed, perhaps one that has died since. */
  claimed(): string[] {
    return listFolders(this.file('taking'));
  }

  /** Moves a checkpoint out of the trainer's reach. Null when the trainer has pruned it first. */
  claim(name: string): string | null {
    const target = join(this.file('taking'), name);
    try {
      renameSync(join(this.file('inbox'), name), target);
      return target;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }
}

/**
 * Reads the start time of a process, in clock ticks since boot, which tells it from a later process with the same pid.
 * Null when there is no such process, when it is a zombie, or on systems other than Linux.
 */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name is in parentheses, and may contain spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : fields[19]!;
  } catch {
    return null;
  }
}

export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** Masks the exit record: its reason often contains a script's own text. */
function maskExit(record: ExitRecord): ExitRecord {
  const error = record.error && (maskParams({ error: record.error as never }).error as ExitRecord['error']);
  return { ...record, reason: maskText(record.reason), error };
}

function parse<S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> | null {
  if (value === null) return null;
  const result = v.safeParse(schema, value);
  return result.success ? result.output : null;
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Lists folders without links: a link's content was not handed over. */
function listFolders(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
