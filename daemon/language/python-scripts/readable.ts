/** Python that Lezer's grammar does not know, in the words of what it knows. All places stay: each text keeps its length. */

/** Numbers such as `10.`, whose point is taken for that of an attribute: they become `100`. */
const POINT_LAST = /(?<![\w.])(\d[\d_]*)\.(?![\w.])/g;
/** Characters that Python takes for none at the beginning of a line: a byte-order mark, and the page breaks of old files. */
const BLANK = /^\ufeff|^\f/gm;
/** Length of such a head, beyond which nobody has written it. */
const LONGEST = 2_000;
const YIELD_ALONE = /\(\s*yield\s*\)/g;
const WITH_PARENTHESES = /^[ \t]*(?:async[ \t]+)?with[ \t]*\(/gm;

export function readable(text: string): string {
  const plain = text
    .replaceAll(BLANK, ' ')
    .replaceAll(POINT_LAST, '$10')
    .replaceAll(YIELD_ALONE, (found) => `(${'None'.padEnd(found.length - 2)})`);
  const heads = [...plain.matchAll(WITH_PARENTHESES)];
  if (heads.length === 0) return plain;
  let done = '';
  for (const { index, 0: head } of heads) {
    const open = index + head.length - 1;
    const line = open < done.length ? null : onOneLine(plain, open);
    if (line !== null) done += plain.slice(done.length, open) + line;
  }
  return done + plain.slice(done.length);
}

/** Returns the items of `with (a as b, c as d):` without parentheses, comments and ends of lines; null: they are no such items. */
function onOneLine(text: string, open: number): string | null {
  let line = '';
  let depth = 0;
  let names = false;
  for (let at = open; at < Math.min(text.length, open + LONGEST); ) {
    const piece = pieceAt(text, at);
    at += piece.length;
    if (piece.startsWith('#') || piece === '\n') line += ' '.repeat(piece.length);
    else if (/^[([{]$/.test(piece)) line += depth++ === 0 ? ' ' : piece;
    else if (/^[)\]}]$/.test(piece)) {
      if (--depth > 0) line += piece;
      else if (!names || !/^[ \t]*:/.test(text.slice(at, at + 20))) return null;
      // A comma at the end needs the parentheses.
      else return `${line} `.replace(/,(\s*)$/, ' $1');
    } else {
      names ||= depth === 1 && piece === 'as';
      line += piece;
    }
  }
  return null;
}

/** Returns the string, comment, word or character that begins at a place. */
function pieceAt(text: string, at: number): string {
  PIECE.lastIndex = at;
  return PIECE.exec(text)?.[0] ?? text[at]!;
}

const PIECE = /"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#[^\n]*|\w+/y;
