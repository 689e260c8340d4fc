/** Formats text and tables for people. Pure; widths are in terminal columns. */
import { stripVTControlCharacters, styleText } from 'node:util';
import { visible } from '../protocol/visible.ts';

type Style = Parameters<typeof styleText>[0];

let colours = false;

/** Turns colours on or off; they are off for pipes, NO_COLOR and dumb terminals. */
export function useColours(on: boolean): void {
  colours = on;
}

export function coloursAreOn(): boolean {
  return colours;
}

export function paint(style: Style, text: string): string {
  return colours ? styleText(style, text, { validateStream: false }) : text;
}

const EIGHTHS = ' ▏▎▍▌▋▊▉█';

export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const full = Math.floor(eighths / 8);
  const rest = full < width ? EIGHTHS[eighths % 8]! : '';
  return `${'█'.repeat(full)}${rest}`.padEnd(width, '·').replaceAll(' ', '·');
}

export interface Column<T> {
  title: string;
  cell(row: T): string;
  right?: boolean;
  /** True if the column may be shortened when the table is too wide; `end`: its end is kept, since it tells entries apart. */
  flexible?: boolean | 'end';
}

/** Returns the lines of a table that fits into `width` columns; columns without content are left out. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], width: number): string[] {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)));
  const used = columns.map((_, i) => i).filter((i) => cells.some((row) => row[i] !== ''));
  // Not as arguments of one call: there may be hundreds of thousands of them.
  const widths = used.map((i) =>
    cells.reduce((most, row) => Math.max(most, columnsOf(row[i]!)), columnsOf(columns[i]!.title)),
  );
  const flexible = used.findIndex((i) => columns[i]!.flexible);
  const excess = widths.reduce((a, b) => a + b, 0) + 2 * (used.length - 1) - width;
  if (flexible >= 0 && excess > 0) widths[flexible] = Math.max(8, widths[flexible]! - excess);
  const line = (texts: string[]) =>
    texts
      .map((text, at) => fit(text, widths[at]!, columns[used[at]!]!))
      .join('  ')
      .trimEnd();
  return [
    paint('dim', line(used.map((i) => columns[i]!.title))),
    ...cells.map((row) => line(used.map((i) => row[i]!))),
  ];
}

function fit(text: string, width: number, { right, flexible }: Pick<Column<never>, 'right' | 'flexible'>): string {
  const length = columnsOf(text);
  if (length > width) {
    const plain = [...stripVTControlCharacters(text)];
    return flexible === 'end' ? `…${plain.slice(1 - width).join('')}` : `${plain.slice(0, width - 1).join('')}…`;
  }
  const padding = ' '.repeat(width - length);
  return right ? padding + text : text + padding;
}

/** Wraps text at spaces; a word that is too long gets a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Makes the characters of a name visible that a terminal would obey. `print` does the same but passes colours. */
export function safe(text: string): string {
  return visible(text);
}

/** Does the same for a line of code, but keeps tabs as spaces. */
export function safeCode(line: string): string {
  return visible(line.replaceAll('\t', '    '));
}

/** Counts the columns that a text takes in a terminal, without its colours. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of stripVTControlCharacters(text)) columns += isWide(character.codePointAt(0)!) ? 2 : 1;
  return columns;
}

/** Recognises East Asian wide characters and emoji, roughly. */
function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}
