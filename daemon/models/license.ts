/** The licence that a project itself states, for the cards of its models. It is never guessed from a text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reads the licence from `pyproject.toml` or `package.json`; null: neither states one. */
export function statedLicense(root: string): string | null {
  return ofPyproject(read(join(root, 'pyproject.toml'))) ?? ofPackage(read(join(root, 'package.json')));
}

/** Reads `license = "MIT"`, or `license = { text = "MIT" }` of the older form, in the table `project`. */
function ofPyproject(text: string): string | null {
  const table = /^\[project\]\s*$([\s\S]*?)(?=^\[|$(?![\s\S]))/m.exec(text)?.[1] ?? '';
  const [, plain, inTable] =
    /^license\s*=\s*(?:["']([^"'\n]+)["']|\{[^}\n]*\btext\s*=\s*["']([^"'\n]+)["'])/m.exec(table) ?? [];
  return plain ?? inTable ?? null;
}

function ofPackage(text: string): string | null {
  try {
    const { license } = JSON.parse(text) as { license?: unknown };
    return typeof license === 'string' && license !== '' ? license : null;
  } catch {
    return null;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
