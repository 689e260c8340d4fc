/** Manifests of checkpoints, as they are on a remote. One that is read is checked in every part: nobody vouches for it. */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import type { Checkpoint, Proof } from '../../protocol/domain.ts';
import { bodyOf, readProof } from '../store/catalog/rows.ts';
import { type CheckpointBody, checkpointOf } from '../store/checkpoints/body.ts';
import { MAX_CHUNK_BYTES } from '../store/objects/limits.ts';
import { damagedObject } from './drivers/driver.ts';
import { codecOf, manifestKey } from './layout.ts';

const FORMAT = 1;
/** Limit of a manifest, enough for a million chunks. */
export const MAX_MANIFEST_BYTES = 128 << 20;
const MAX_CHUNKS = 1_000_000;
const MAX_TAGS = 1_000;

const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const size = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_CHUNK_BYTES));
const ending = v.pipe(
  v.string(),
  v.check((text) => codecOf(text) !== null),
);

/** Chunk as a manifest names it: hash and size of the plain bytes, and the ending of the object's name. */
const chunkSchema = v.strictTuple([hash, size, ending]);
export type ManifestChunk = v.InferOutput<typeof chunkSchema>;

const manifestSchema = v.object({
  format: v.literal(FORMAT),
  remote: v.string(),
  machine: v.pipe(v.string(), v.maxLength(255)),
  pushedAt: v.number(),
  body: v.unknown(),
  chunks: v.pipe(v.array(chunkSchema), v.maxLength(MAX_CHUNKS)),
  tags: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(MAX_TAGS)),
  proof: v.unknown(),
});

export interface Manifest {
  /** Id of the remote. */
  remote: string;
  /** Name of the machine that pushed it. */
  machine: string;
  pushedAt: number;
  body: CheckpointBody;
  chunks: ManifestChunk[];
  tags: string[];
  proof: Proof | null;
}

/** Encodes a manifest: one line of JSON, then the SHA-256 of that line. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const line = `${JSON.stringify({ format: FORMAT, ...manifest })}\n`;
  return Buffer.from(`${line}${sumOf(line)}\n`);
}

/** Decodes a manifest. Throws `remoteDamaged` for one that is cut off, or that contradicts itself, its name, or the remote's id. */
export function decodeManifest(remote: string, id: string, key: string, bytes: Uint8Array): Manifest {
  const fail = (problem: string) => damagedObject(remote, key, problem);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  const end = text.indexOf('\n') + 1;
  if (end === 0 || text.slice(end) !== `${sumOf(text.slice(0, end))}\n`) throw fail('its checksum is wrong');
  const parsed = v.safeParse(manifestSchema, parse(text.slice(0, end)));
  if (!parsed.success) throw fail('it is not a manifest that this version knows');
  const { chunks, tags, machine, pushedAt, proof } = parsed.output;
  if (parsed.output.remote !== id) throw fail('it belongs to another remote');
  const body = soundBody(parsed.output.body);
  if (!body) throw fail('it does not describe a checkpoint');
  if (manifestKey(body.run.id, body.checkpoint.step, body.checkpoint.id) !== key)
    throw fail('it describes another checkpoint than its name says');
  let from = 0;
  for (const file of body.files) {
    const own = chunks.slice(from, from + file.chunks);
    from += file.chunks;
    if (own.length !== file.chunks || own.reduce((sum, [, bytes]) => sum + bytes, 0) !== file.bytes)
      throw fail(`its list of chunks does not make up ${JSON.stringify(file.name)}`);
  }
  if (from !== chunks.length) throw fail('some of its chunks belong to no file');
  return { remote: id, machine, pushedAt, body, chunks, tags, proof: readProof(JSON.stringify(proof)) };
}

/** Describes the checkpoint of a manifest as a store would. */
export function checkpointIn({ body, tags, proof }: Manifest): Checkpoint {
  const { id, createdAt } = body.checkpoint;
  const row = { seq: 0, id, kind: 'checkpoint' as const, run: body.run.id, created: createdAt, metrics: null };
  const marks = [
    ...tags.map((value) => ({ kind: 'tag' as const, value })),
    ...(proof ? [{ kind: 'proof' as const, value: JSON.stringify(proof) }] : []),
  ];
  return checkpointOf({ ...row, body: JSON.stringify(body) }, marks);
}

/** Checks the description as a store checks its own. */
function soundBody(given: unknown): CheckpointBody | null {
  const { checkpoint, run } = (given ?? {}) as { checkpoint?: { id?: unknown }; run?: { id?: unknown } };
  if (typeof checkpoint?.id !== 'string' || typeof run?.id !== 'string') return null;
  try {
    return bodyOf({ id: checkpoint.id, run: run.id, body: JSON.stringify(given) });
  } catch {
    return null;
  }
}

function sumOf(line: string): string {
  return createHash('sha256').update(line).digest('hex');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
