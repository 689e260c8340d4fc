/** Reads small text files: YAML of simple mappings, JSON, and tables. Never executes anything. */
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { parse } from 'yaml';

const MOST_BYTES = 64 << 20;
const MOST_YAML_BYTES = 4 << 20;
const PART_BYTES = 1 << 20;
const MOST_DEPTH = 20;
const MOST_ENTRIES = 5_000;

/** Reads a small file; null: it is not there, or too large. */
export function readSmall(path: string, most = MOST_BYTES): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() && stat.size <= most ? readFileSync(path, 'utf8') : null;
}

export function readJsonFile(path: string): unknown {
  const text = readSmall(path);
  try {
    // Python writes NaN and Infinity, which JSON does not have.
    return text === null ? null : JSON.parse(text.replaceAll(/(?<=[:[,\s])-?(NaN|Infinity)(?=\s*[,\]}])/g, 'null'));
  } catch {
    return null;
  }
}

/** Reads a YAML file as plain values; null: it is none. Tags such as those for Python's objects become text. */
export function readYaml(path: string): Record<string, unknown> | null {
  const text = readSmall(path, MOST_YAML_BYTES);
  if (text === null) return null;
  try {
    const value: unknown = parse(text, { maxAliasCount: 0, logLevel: 'silent', schema: 'core', version: '1.2' });
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** Keeps what JSON can hold, to a certain depth and number. */
export function plain(value: unknown): Record<string, unknown> {
  let left = MOST_ENTRIES;
  const copy = (one: unknown, depth: number): unknown => {
    if (one === null || typeof one === 'boolean' || typeof one === 'string') return cut(one);
    if (typeof one === 'number') return Number.isFinite(one) ? one : String(one);
    if (depth > MOST_DEPTH || left <= 0) return '…';
    if (Array.isArray(one)) return one.slice(0, left).map((item) => (left-- > 0 ? copy(item, depth + 1) : '…'));
    if (!isRecord(one)) return String(one);
    const entries = Object.entries(one).filter(([name]) => name !== '__proto__' && left-- > 0);
    return Object.fromEntries(entries.map(([name, item]) => [cut(name), copy(item, depth + 1)]));
  };
  const made = copy(value, 0);
  return isRecord(made) ? made : {};
}

function cut<T>(value: T): T {
  return (typeof value === 'string' && value.length > 10_000 ? `${value.slice(0, 10_000)}…` : value) as T;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Parses a number as Python prints it; null: it is none. */
export function numberOf(text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  const number = Number(text);
  if (!Number.isNaN(number)) return number;
  const lower = text.toLowerCase().replace('infinity', 'inf');
  if (/^[+-]?nan$/.test(lower)) return Number.NaN;
  if (/^[+-]?inf$/.test(lower)) return lower.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return null;
}

/** Yields the lines of a file of any size. */
export function* linesOf(path: string): Generator<string> {
  const file = openSync(path, 'r');
  try {
    const part = Buffer.alloc(PART_BYTES);
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
      const read = readSync(file, part, 0, part.length, null);
      if (read === 0) break;
      const lines = (rest + decoder.decode(part.subarray(0, read), { stream: true })).split('\n');
      rest = lines.pop()!;
      if (rest.length > MOST_BYTES) return;
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(file);
  }
}

/** Splits a line of a table, with quotes as CSV has them. */
export function cellsOf(line: string, separator: ',' | '\t'): string[] {
  if (!line.includes('"')) return line.split(separator);
  const cells: string[] = [];
  const pattern = separator === ',' ? /("(?:[^"]|"")*"|[^,]*)(,|$)/g : /("(?:[^"]|"")*"|[^\t]*)(\t|$)/g;
  for (const [, cell = '', end] of line.matchAll(pattern)) {
    cells.push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === '') break;
  }
  return cells;
}

/** Yields the rows of a table with a head, by the names of its columns. */
export function* rowsOf(path: string, separator: ',' | '\t'): Generator<Map<string, string>> {
  let head: string[] | null = null;
  for (const line of linesOf(path)) {
    const cells = cellsOf(line, separator);
    if (head === null) head = cells;
    else if (line !== '') yield new Map(head.map((name, i) => [name, cells[i] ?? '']));
  }
}
