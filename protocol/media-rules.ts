/** Limits of what a run may log besides numbers. The Python package reads the same file. */
import rules from './rules/media.json' with { type: 'json' };

export const MEDIA_RULES: {
  /** Largest content of one item. */
  readonly itemBytes: number;
  /** Largest sum of all contents of a session. */
  readonly sessionBytes: number;
  /** Most items of a name in a session. */
  readonly perName: number;
  /** Most names in a session. */
  readonly names: number;
  /** Most pixels of an image: a page that draws it needs four bytes for each. */
  readonly pixels: number;
  /** Most rows and columns of a table. */
  readonly rows: number;
  readonly columns: number;
  /** Longest text, in bytes. */
  readonly text: number;
} = rules;
