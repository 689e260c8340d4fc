/** Reads the output of a run, all sessions one after another. */
import { setTimeout as sleep } from 'node:timers/promises';
import { nextChange } from '../../base/watch.ts';
import type { Run } from '../../protocol/domain.ts';
import type { LogPage } from '../../protocol/messages/metrics.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { integer } from '../../protocol/words.ts';
import { printedBytes, readPrinted } from '../../session/printed.ts';
import { type ProjectContext, sessionOf } from './context.ts';

/** Page size. JSON may need six bytes for each byte, and the size of a message is limited. */
const PAGE_BYTES = 128 << 10;
/** Interval of looks while one waits: for a run's end, a new session, and file systems without events. */
const LOOK_MS = 1_000;

export interface LogPlace {
  /** Id of the only session to read. */
  session?: string;
  offset: number;
  /** Starts this many bytes before the end. */
  last?: number;
}

/** Time in which a burst of output becomes one page: a bar that is drawn a hundred times a second is not a hundred answers. */
const GATHER_MS = 30;
const isOutput = (name: string) => name.startsWith('output');

/**
 * Reads the next page, and waits for one if there is nothing new yet. Returns an empty page after `waitMs`.
 *
 * A notification for each piece of output would need a list of followers, and a bound for one that does not keep up; who asks
 * for the next page when it has written the last one needs neither, and after a lost connection goes on from its offset.
 */
export async function nextLog(
  context: Pick<ProjectContext, 'place' | 'store'>,
  findRun: () => Promise<Run>,
  place: LogPlace & { waitMs?: number },
  signal: AbortSignal,
): Promise<LogPage> {
  const { waitMs = 0, ...from } = place;
  const deadline = performance.now() + waitMs;
  for (;;) {
    const run = await findRun();
    const newest = (await context.store.sessions(run.id)).findLast(({ purpose }) => purpose === 'train');
    // Before the read: what is printed between it and the watch would wait for the next look.
    const folders = newest ? [sessionOf(context, newest.id).path] : [];
    const change = waitMs > 0 ? nextChange(folders, { withinMs: LOOK_MS, signal, isOf: isOutput }) : null;
    try {
      const page = await readLog(context, run, from);
      if (change && page.text && page.offset - from.offset < PAGE_BYTES / 2 && from.last === undefined) {
        await sleep(GATHER_MS);
        return await readLog(context, run, from);
      }
      if (!change || page.text || page.ended || performance.now() >= deadline || signal.aborted) return page;
      from.offset = page.offset;
      delete from.last;
      await change.promise;
    } finally {
      change?.close();
    }
  }
}

/** Reads the next page. An empty page of a run that has not ended means that nothing more has been printed yet. */
export async function readLog(
  context: Pick<ProjectContext, 'place' | 'store'>,
  run: Run,
  place: LogPlace,
): Promise<LogPage> {
  const isOver = !LIVE_STATUSES.includes(run.status);
  const directories = (await context.store.sessions(run.id))
    .filter(({ id, purpose }) => purpose === 'train' && (!place.session || id === place.session))
    .map(({ id }) => sessionOf(context, id));
  const sizes = directories.map(printedBytes);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const offset = place.last === undefined ? place.offset : Math.max(place.offset, total - place.last);
  let start = 0;
  for (const [i, directory] of directories.entries()) {
    const end = start + sizes[i]!;
    if (offset < end) {
      const { bytes, next, gone } = readPrinted(directory, offset - start, PAGE_BYTES);
      const more = start + next < end || (!isOver && i === directories.length - 1);
      const whole = more ? wholeCharacters(bytes) : bytes;
      const text = `${gone > 0 ? gap(gone) : ''}${whole.toString('utf8')}`;
      return { text, offset: start + next - (bytes.length - whole.length), ended: false };
    }
    start = end;
  }
  return { text: '', offset, ended: isOver };
}

function gap(bytes: number): string {
  return `\n[${integer(bytes)} bytes that were printed here are no longer kept]\n`;
}

/** Cuts off an incomplete character at the end. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}
