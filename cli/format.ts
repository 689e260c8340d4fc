/** Formats text and tables for people. Pure; widths are in terminal columns. */
import { stripVTControlCharacters, styleText } from 'node:util';
import { visible } from '../protocol/visible.ts';
import { columnsOf } from './width.ts';

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
  /**
   * True if the column may be shortened when the table is too wide; `end`: its end is kept, since it tells entries apart; `wrap`: what
   * does not fit goes on in the next line, for the last column, whose text a person needs whole.
   */
  flexible?: boolean | 'end' | 'wrap';
}

/** Least width of a column that wraps: sentences in a narrower one are hard to read. */
const WRAPPED_MIN = 24;

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
  const wraps = flexible >= 0 && columns[used[flexible]!]!.flexible === 'wrap';
  if (flexible >= 0 && excess > 0) widths[flexible] = Math.max(wraps ? WRAPPED_MIN : 8, widths[flexible]! - excess);
  const line = (texts: string[]) =>
    texts
      .map((text, at) => fit(text, widths[at]!, columns[used[at]!]!))
      .join('  ')
      .trimEnd();
  return [
    paint('dim', line(used.map((i) => columns[i]!.title))),
    ...cells.flatMap((row) => {
      const texts = used.map((i) => row[i]!);
      if (!wraps) return [line(texts)];
      return wrapped(texts[flexible]!, widths[flexible]!).map((part, at) =>
        line(texts.map((text, i) => (i === flexible ? part : at === 0 ? text : ''))),
      );
    }),
  ];
}

function fit(text: string, width: number, { right, flexible }: Pick<Column<never>, 'right' | 'flexible'>): string {
  const length = columnsOf(text);
  // A word that is wider than its column, such as a path, is kept whole.
  if (length > width && flexible === 'wrap') return text;
  if (length > width) {
    const characters = [...new Intl.Segmenter().segment(stripVTControlCharacters(text))].map(({ segment }) => segment);
    const cut =
      flexible === 'end'
        ? `…${within(width - 1, characters.reverse())
            .reverse()
            .join('')}`
        : `${within(width - 1, characters).join('')}…`;
    // A wide character that does not fit leaves a column free.
    return cut + ' '.repeat(Math.max(0, width - columnsOf(cut)));
  }
  const padding = ' '.repeat(width - length);
  return right ? padding + text : text + padding;
}

/** Wraps text at spaces; a word that is too long gets a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && columnsOf(last) + 1 + columnsOf(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
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

/** Takes whole characters, as a person sees them, while they fit. */
function within(columns: number, characters: readonly string[]): string[] {
  let left = columns;
  const over = characters.findIndex((character) => {
    left -= columnsOf(character);
    return left < 0;
  });
  return over < 0 ? [...characters] : characters.slice(0, over);
}
