/** The licence that a project itself states, for the cards of its models. It is never guessed from a text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reads the licence from `pyproject.toml` or `package.json`; null: neither states one. */
export function statedLicense(root: string): string | null {
  return ofPyproject(read(join(root, 'pyproject.toml'))) ?? ofPackage(read(join(root, 'package.json')));
}

/** Reads `license = "MIT"`, or `text` of the older form, which is a table of its own or written in braces. */
function ofPyproject(text: string): string | null {
  const project = tableIn(text, 'project');
  const inBraces = /^\s*license\s*=\s*\{([^}\n]*)\}/m.exec(project)?.[1] ?? '';
  return (
    stringAt(project, 'license') ??
    stringAt(inBraces.replaceAll(',', '\n'), 'text') ??
    stringAt(tableIn(text, 'project.license'), 'text')
  );
}

function tableIn(text: string, name: string): string {
  const header = new RegExp(String.raw`^\s*\[\s*${name.replace('.', String.raw`\s*\.\s*`)}\s*\]\s*(?:#.*)?$`);
  const lines = text.split(/\r?\n/);
  const start = lines.findIndex((line) => header.test(line));
  if (start < 0) return '';
  const end = lines.findIndex((line, i) => i > start && /^\s*\[/.test(line));
  return lines.slice(start + 1, end < 0 ? undefined : end).join('\n');
}

function stringAt(table: string, key: string): string | null {
  return new RegExp(String.raw`^\s*${key}\s*=\s*(["'])([^"'\n]+)\1`, 'm').exec(table)?.[2] ?? null;
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
