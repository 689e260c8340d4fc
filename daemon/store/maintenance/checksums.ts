/** Fills in the checksums of chunks that were stored without one: by an earlier version, or in a store that was copied. */
import { isError } from '../../../protocol/errors.ts';
import { failureOf } from '../failures.ts';
import { MAX_ROW } from '../objects/chunks.ts';
import { CHECKSUMS_UP_TO, MIN_CHECKSUM_BYTES } from '../objects/limits.ts';
import type { Objects } from '../objects/objects.ts';

/** Number of rows that are looked at for one transaction. */
const BATCH = 16;

/**
 * Compares each chunk with its hash, and records its checksum; yields after each batch. A damaged chunk gets none. It may be
 * abandoned or killed at any time: what is recorded is right, and the next call continues there.
 */
export async function* fillChecksums(objects: Objects, pause: () => Promise<void>): AsyncGenerator<void, void> {
  if (!objects.hasChecksums) return;
  const page = objects.database.prepare(
    `SELECT c.id, c.size, s.chunk IS NOT NULL AS has FROM chunk c LEFT JOIN checksum s ON s.chunk = c.id
     WHERE c.id > ? AND c.id <= ${MAX_ROW} ORDER BY c.id LIMIT ${BATCH}`,
  );
  for (;;) {
    const from = Number(objects.meta(CHECKSUMS_UP_TO) ?? 0) || 0;
    if (from >= MAX_ROW) return;
    const rows = page.all(from) as { id: number; size: number; has: number }[];
    for (const { id, size, has } of rows) {
      if (!has && size >= MIN_CHECKSUM_BYTES) fill(objects, id);
      await pause();
    }
    // Later chunks are stored with theirs.
    objects.setMeta(CHECKSUMS_UP_TO, String(rows.at(-1)?.id ?? MAX_ROW));
    yield;
  }
}

function fill(objects: Objects, id: number): void {
  try {
    objects.setChecksum(id, objects.chunk(id, true).bytes);
  } catch (error) {
    if (!isError(error, 'corrupted') && failureOf(error) !== 'damaged') throw error;
  }
}
