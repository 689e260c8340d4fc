/** Stores a checkpoint that comes from another store, chunk by chunk. Nothing in it is trusted. */
import type { Checkpoint } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { bodyOf } from '../catalog/rows.ts';
import { checksumOf } from '../objects/checksum.ts';
import type { Save } from '../objects/chunks.ts';
import { CODEC, isDelta } from '../objects/codec.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Objects, SavedRow } from '../objects/objects.ts';
import { chunkProblem, type EncodedChunk } from '../objects/stack.ts';
import { verifiedBytes } from '../objects/verified-read.ts';
import { type CheckpointBody, checkpointOf } from './body.ts';

/** Checkpoint from elsewhere: its description, and the hashes of its chunks in order. */
export interface IncomingCheckpoint {
  body: CheckpointBody;
  chunks: readonly Uint8Array[];
}

/** Chunk as it travels: nothing that comes with it is believed. */
export type IncomingChunk = Omit<EncodedChunk, 'sum'>;

/** Stores chunks in one transaction, after each was decoded and compared with its hash. Throws `corrupted`. */
export async function putIncomingChunks(
  objects: Objects,
  coders: Coders,
  save: Save,
  chunks: readonly IncomingChunk[],
): Promise<void> {
  const sound = await Promise.all(
    chunks.map(async (chunk) => {
      const problem =
        chunkProblem({ ...chunk, sum: null }) ?? (isDelta(chunk.codec) ? 'it is a delta to another chunk' : null);
      if (problem !== null) throw unsound(chunk.hash, problem);
      // Verifying takes over the memory; of a plain chunk it gives it back.
      const encoded = chunk.codec === CODEC.raw ? null : Uint8Array.from(chunk.data);
      try {
        const bytes = await verifiedBytes(coders, 0, [{ ...chunk, sum: null }]);
        return { ...chunk, data: encoded ?? bytes, sum: checksumOf(bytes, chunk.hash) };
      } catch {
        throw unsound(chunk.hash, 'its bytes do not match its hash');
      }
    }),
  );
  objects.putChunks(save, sound);
  // Now, so that the next ones can reuse it.
  for (const { data } of sound) if (data.byteLength === data.buffer.byteLength) data.buffer.transfer(0);
}

/** Commits a checkpoint whose chunks are all there. Returns the known one if it is stored already. Throws `corrupted`. */
export function commitIncoming(objects: Objects, save: Save, { body, chunks }: IncomingCheckpoint): Checkpoint {
  const row: Omit<SavedRow, 'seq'> = {
    id: body.checkpoint.id,
    kind: 'checkpoint',
    run: body.run.id,
    created: body.checkpoint.createdAt,
    body: JSON.stringify(body),
    metrics: null,
  };
  const { files } = bodyOf(row);
  const known = objects.saved(row.id);
  if (known) return checkpointOf(known, objects.marks(known.seq));
  const ids = chunks.map((hash) => {
    const id = objects.findChunk(save, hash);
    if (id === null) throw unsound(hash, 'it is missing');
    return id;
  });
  let from = 0;
  for (const { name, bytes, chunks: count } of files) {
    const size = ids.slice(from, from + count).reduce((sum, id) => sum + (objects.layout(id)?.size ?? 0), 0);
    from += count;
    if (from > ids.length || size !== bytes)
      throw new TrainstashError(
        'corrupted',
        `Checkpoint ${row.id} was not stored: ${name} would have ${size} bytes instead of ${bytes}.`,
        { checkpoint: row.id },
      );
  }
  if (from !== ids.length)
    throw new TrainstashError('corrupted', `Checkpoint ${row.id} was not stored: some chunks belong to no file.`, {
      checkpoint: row.id,
    });
  const seq = objects.commit(row, ids);
  return checkpointOf({ ...row, seq }, []);
}

function unsound(hash: Uint8Array, problem: string): TrainstashError<'corrupted'> {
  const chunk = Buffer.from(hash).toString('hex');
  return new TrainstashError('corrupted', `Chunk ${chunk} was not stored: ${problem}.`, { chunk });
}
