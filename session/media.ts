/** The images, histograms, tables and texts of a session: the list of them, and the files with their content. */

import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { openToRead, TEMPORARY_PREFIX } from '../base/files.ts';
import { inside } from '../base/inside.ts';
import { type MediaKind, type MediaLine, mediaLineSchema } from '../protocol/media.ts';
import { MEDIA_RULES } from '../protocol/media-rules.ts';
import { maskText } from '../protocol/secrets.ts';
import type { SessionDirectory } from './directory.ts';

/** Lists of a session: the package writes one, the runner the other. */
const LISTS = ['media', 'runnerMedia'] as const;
/** Size of a list beyond which it is not one of ours. */
const LIST_BYTES = 64 << 20;

/** Lists what a session has logged. Lines of another form are left out. */
export function readMediaLines(directory: SessionDirectory): MediaLine[] {
  return LISTS.flatMap((name) => {
    const text = readBounded(directory.file(name), LIST_BYTES);
    return text === null ? [] : text.toString('utf8').split('\n').flatMap(lineOf);
  });
}

function lineOf(line: string): MediaLine[] {
  if (line === '') return [];
  try {
    const parsed = v.safeParse(mediaLineSchema, JSON.parse(line));
    return parsed.success ? [parsed.output] : [];
  } catch {
    // Half a line of a writer that was killed.
    return [];
  }
}

/** Reads the content of an item; null: it is gone, larger than allowed, or not what its name says. */
export function readMedia(directory: SessionDirectory, sum: string): Buffer | null {
  const bytes = readBounded(inside(directory.file('mediaFiles'), sum), MEDIA_RULES.itemBytes);
  return bytes && createHash('sha256').update(bytes).digest('hex') === sum ? bytes : null;
}

function readBounded(path: string, most: number): Buffer | null {
  let file: number;
  try {
    file = openToRead(path);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > most) return null;
    const bytes = Buffer.alloc(stat.size);
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}

/** Masks what looks like a secret in a text. */
export function maskedMedia(kind: MediaKind, content: Uint8Array): Uint8Array {
  return kind === 'text' ? Buffer.from(maskText(Buffer.from(content).toString('utf8'))) : content;
}

/** Writer of a runner, for a script that reports by TensorBoard's files. Beyond its limits it keeps nothing more. */
export class MediaWriter {
  readonly #directory: SessionDirectory;
  readonly #counts = new Map<string, number>();
  #bytes = 0;
  #isFull = false;

  constructor(directory: SessionDirectory) {
    this.#directory = directory;
  }

  /** Returns a sentence the first time that something is left out; null: it was kept, or that was said. */
  add(line: Omit<MediaLine, 'sum' | 'bytes'>, content: Uint8Array): string | null {
    const count = this.#counts.get(line.name) ?? 0;
    const isNew = count === 0;
    if (content.length > MEDIA_RULES.itemBytes || count >= MEDIA_RULES.perName) return this.#full();
    if (isNew && this.#counts.size >= MEDIA_RULES.names) return this.#full();
    const sum = createHash('sha256').update(content).digest('hex');
    const folder = this.#directory.file('mediaFiles');
    const path = join(folder, sum);
    try {
      if (!existsSync(path)) {
        if (this.#bytes + content.length > MEDIA_RULES.sessionBytes) return this.#full();
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        const temporary = join(folder, `${TEMPORARY_PREFIX}${sum}`);
        writeFileSync(temporary, content, { mode: 0o600 });
        renameSync(temporary, path);
        this.#bytes += content.length;
      }
      const whole: MediaLine = { ...line, sum, bytes: content.length };
      appendFileSync(this.#directory.file('runnerMedia'), `${JSON.stringify(whole)}\n`, { mode: 0o600 });
      this.#counts.set(line.name, count + 1);
      return null;
    } catch {
      // A full disk: metrics go on, and so does the training.
      return this.#full();
    }
  }

  #full(): string | null {
    if (this.#isFull) return null;
    this.#isFull = true;
    return 'Some images, histograms or texts of TensorBoard’s files are not kept: there are too many, or they are too large. The files themselves have them.';
  }
}
