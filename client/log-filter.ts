/** Prepares the output of a script for the terminal of somebody who only looks at it. */

const CSI = '(?:\\u001b\\[|\\u009b)';
/** Titles, the clipboard, links, and what else a terminal takes as a text up to its end. */
const STRING = '(?:\\u001b[\\]PX^_]|[\\u009d\\u0090\\u0098\\u009e\\u009f])';
const STRING_TEXT = '[^\\u0007\\u001b\\u009c]{0,4096}';
const SEQUENCE = new RegExp(
  [
    `${CSI}([0-?]{0,256})([ -/]*)([@-~])`,
    `${STRING}${STRING_TEXT}(?:\\u0007|\\u001b\\\\|\\u009c)`,
    '\\u001b[ -/]*[0-~]',
    // Controls but those that lines and progress bars are made of; marks that change the direction of what follows.
    '[\\u0000-\\u0007\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]',
    '[\\u202a-\\u202e\\u2066-\\u2069]',
  ].join('|'),
  'gu',
);
/** The beginning of a sequence whose end may still come. A text without an end is let through after 4,096 characters. */
const UNFINISHED = new RegExp(
  `(?:${CSI}[0-?]{0,256}[ -/]*|${STRING}${STRING_TEXT}(?:\\u001b)?|\\u001b[ -/]*)(?![\\s\\S])`,
  'u',
);

/** Lets text, colours, and the ways of progress bars within their line pass, and nothing else that a terminal obeys. */
export class LogFilter {
  #rest = '';

  /** `text` may end in the middle of a sequence: its beginning waits for the next piece. */
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
  // Colours; erasing within the line.
  return isPlain && (final === 'm' || final === 'K') ? `\u001b[${parameters}${final}` : '';
}
