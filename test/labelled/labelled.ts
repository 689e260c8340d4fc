/**
 * Scripts with labels: a line that should be marked ends with `# <- code`. They measure what editors say of Python: how much of it is true
 * (precision), and how much of what is wrong is said (recall).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { checkScript } from '../../daemon/language/python-scripts/python.ts';

const ROOT = join(import.meta.dirname, '../..');
const LABEL = /\s*# <- ([\w, ]+)$/;

export interface Measured {
  name: string;
  /** Marks as `line code`: those that were made, and those that should be. */
  made: string[];
  wanted: string[];
}

/** Lists the labelled scripts, and the examples, which are right. */
export function labelledScripts(): string[] {
  const folders = ['test/labelled/scripts', 'examples/digits-pytorch'].map((folder) => join(ROOT, folder));
  return folders.flatMap((folder) =>
    readdirSync(folder).flatMap((name) => (name.endsWith('.py') ? [join(folder, name)] : [])),
  );
}

/** Checks a script without its labels, which would be comments on the lines. */
export function measure(path: string): Measured {
  const lines = readFileSync(path, 'utf8').split('\n');
  const wanted = lines.flatMap((line, index) =>
    (LABEL.exec(line)?.[1]?.split(',') ?? []).map((code) => `${index + 1} ${code.trim()}`),
  );
  const text = lines.map((line) => line.replace(LABEL, '')).join('\n');
  const document = TextDocument.create('file:///script.py', 'python', 1, text);
  const made = checkScript(document).map(({ code, range }) => `${range.start.line + 1} ${code}`);
  return { name: path.slice(path.lastIndexOf('/') + 1), made, wanted };
}

export interface Score {
  true: number;
  false: number;
  missed: number;
  precision: number;
  recall: number;
}

export function scoreOf(measured: readonly Measured[], code?: string): Score {
  const isOf = (mark: string) => code === undefined || mark.endsWith(` ${code}`);
  let right = 0;
  let wrong = 0;
  let missed = 0;
  for (const { made, wanted } of measured) {
    // A line may carry several marks of one code.
    const open = wanted.filter(isOf);
    for (const mark of made.filter(isOf)) {
      const at = open.indexOf(mark);
      if (at < 0) wrong++;
      else {
        open.splice(at, 1);
        right++;
      }
    }
    missed += open.length;
  }
  return {
    true: right,
    false: wrong,
    missed,
    precision: right / (right + wrong || 1),
    recall: right / (right + missed || 1),
  };
}
