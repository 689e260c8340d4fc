/** Lists the files below a folder. Follows no link, and stops at a limit. */
import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

export const MOST_FILES = 500_000;
const MOST_LEVELS = 40;
const LEFT_OUT = new Set(['.git', '.hg', '.trainstash', 'node_modules', '__pycache__', '.venv', 'venv', '.cache']);

export interface FoundFile {
  name: string;
  path: string;
  ino: string;
  bytes: number;
  mtimeMs: number;
}

export interface Folder {
  path: string;
  name: string;
  files: FoundFile[];
  folders: Folder[];
}

export class TooManyFiles extends Error {}

/** Walks a folder. What cannot be read is told, and left out. */
export class Walk {
  files = 0;
  readonly #tell: (path: string, problem: string) => void;

  constructor(tell: (path: string, problem: string) => void) {
    this.#tell = tell;
  }

  /** Returns the folder's tree; for a file a folder with it alone. Throws for a path that is not there. */
  tree(given: string): Folder {
    const path = realpathSync(given);
    const stat = lstatSync(path, { bigint: true });
    if (stat.isDirectory()) return this.#folder(path, nameOf(path), 0);
    const file = this.#file(path, nameOf(path));
    return { path: join(path, '..'), name: nameOf(join(path, '..')), files: file ? [file] : [], folders: [] };
  }

  #folder(path: string, name: string, level: number): Folder {
    const folder: Folder = { path, name, files: [], folders: [] };
    let entries: ReturnType<typeof this.list>;
    try {
      entries = this.list(path);
    } catch (error) {
      this.#tell(path, (error as Error).message);
      return folder;
    }
    for (const entry of entries) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) {
        if (LEFT_OUT.has(entry.name) || level >= MOST_LEVELS) continue;
        folder.folders.push(this.#folder(below, entry.name, level + 1));
      } else if (entry.isFile()) {
        const file = this.#file(below, entry.name);
        if (file) folder.files.push(file);
      }
    }
    return folder;
  }

  list(path: string) {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #file(path: string, name: string): FoundFile | null {
    if (++this.files > MOST_FILES) throw new TooManyFiles();
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (!stat?.isFile()) return null;
    return { name, path, ino: String(stat.ino), bytes: Number(stat.size), mtimeMs: Number(stat.mtimeNs) / 1e6 };
  }
}

export function nameOf(path: string): string {
  return path.split(/[/\\]/).filter(Boolean).pop() ?? '';
}

/** Lists all files of a tree. */
export function* allFiles({ files, folders }: Folder): Generator<FoundFile> {
  yield* files;
  for (const folder of folders) yield* allFiles(folder);
}

/** Finds a folder below by its names. */
export function below(folder: Folder, ...names: string[]): Folder | undefined {
  return names.reduce<Folder | undefined>((at, name) => at?.folders.find((one) => one.name === name), folder);
}

export function fileIn(folder: Folder | undefined, name: string): FoundFile | undefined {
  return folder?.files.find((one) => one.name === name);
}
