/** Prepares the output of a script for the terminal of a person who only watches it. */

const CSI = '(?:\\u001b\\[|\\u009b)';
/** Sequences that carry a string up to a terminator: titles, the clipboard, links. */
const STRING = '(?:\\u001b[\\]PX^_]|[\\u009d\\u0090\\u0098\\u009e\\u009f])';
const STRING_TEXT = '[^\\u0007\\u001b\\u009c]{0,4096}';
const SEQUENCE = new RegExp(
  [
    `${CSI}([0-?]{0,256})([ -/]*)([@-~])`,
    `${STRING}${STRING_TEXT}(?:\\u0007|\\u001b\\\\|\\u009c)`,
    '\\u001b[ -/]*[0-~]',
    // Controls, except those that lines and progress bars use; marks that change the direction of the text.
    '[\\u0000-\\u0007\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]',
    '[\\u202a-\\u202e\\u2066-\\u2069]',
  ].join('|'),
  'gu',
);
/** Beginning of a sequence whose end may still come. A string without an end is let through after 4,096 characters. */
const UNFINISHED = new RegExp(
  `(?:${CSI}[0-?]{0,256}[ -/]*|${STRING}${STRING_TEXT}(?:\\u001b)?|\\u001b[ -/]*)(?![\\s\\S])`,
  'u',
);

/** Passes text, colours, and the cursor movements of progress bars within a line; removes everything else that a terminal obeys. */
export class LogFilter {
  #rest = '';

  /** Filters a piece of text. A sequence that it cuts off waits for the next piece. */
  take(text: string): string {
    const all = this.#rest + text;
    const end = UNFINISHED.exec(all)?.index ?? all.length;
    this.#rest = all.slice(end);
    return all.slice(0, end).replaceAll(SEQUENCE, harmless);
  }
}

function harmless(sequence: string, parameters?: string, intermediate?: string, final?: string): string {
  if (final === undefined) return /^[\u202a-\u2069]/u.test(sequence) ? '\ufffd' : '';
  const isPlain = intermediate === '' && /^[0-9;:]{0,60}$/.test(parameters ?? '');
  // Colours, and erasing within the line.
  return isPlain && (final === 'm' || final === 'K') ? `\u001b[${parameters}${final}` : '';
}
