/**
 * Entry of a process that finds the files which contain one of some secrets, given as JSON on standard input. A
 * separate process, since closing a database's file would drop the locks that SQLite holds on it in the same process.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

interface Wanted {
  files: string[];
  secrets: string[];
}

const READ_BYTES = 8 << 20;

function holdsAny(path: string, secrets: RegExp, longest: number): boolean {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    let before = '';
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) {
      const text = before + buffer.toString('latin1', 0, read);
      if (secrets.test(text)) return true;
      before = text.slice(-longest);
    }
    return false;
  } finally {
    closeSync(file);
  }
}

/** Returns a secret in plain form and as in JSON, with bytes as characters. */
function formsOf(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1)].map((form) => Buffer.from(form).toString('latin1'));
}

const { files, secrets } = JSON.parse(readFileSync(0, 'utf8')) as Wanted;
const forms = secrets.flatMap(formsOf);
const pattern = new RegExp(forms.map((form) => form.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'));
const longest = Math.max(0, ...forms.map(({ length }) => length));
const found = files.filter((path) => {
  try {
    return holdsAny(path, pattern, longest);
  } catch {
    return false; // Gone meanwhile.
  }
});
process.stdout.write(JSON.stringify(found));
