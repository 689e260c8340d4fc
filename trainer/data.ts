/** Makes batches in an order that a resume reproduces, and identifies the data. */
import { createHash } from 'node:crypto';
import type { Tensor } from '@tensorflow/tfjs-core';
import { TrainstashError } from '../protocol/errors.ts';
import { permutation, type Random } from './random.ts';
import { tf } from './tf.ts';
import type { ArrayData, Batch, DataSource, IndexedData, StatefulData } from './training.ts';

/** Size up to which content is hashed completely; larger content is hashed at evenly spaced samples. */
const FINGERPRINT_BYTES = 64 << 20;
const FINGERPRINT_SAMPLES = 64;

export interface Feed {
  /** Number of batches in an epoch; null if a stateful source does not tell. */
  batches: number | null;
  samples: number | null;
  /** Returns the batch at this position of the epoch, or null at its end. Its tensors belong to the caller. */
  batch(epoch: number, index: number): Promise<Batch | null>;
  /** Returns the state that cannot be computed from seed, epoch and batch; undefined if there is none. */
  state(): unknown;
  restore(state: unknown): Promise<void>;
  /** Leaves out batches of the epoch from this index on; returns their number, which the epoch's end may limit. */
  leaveOut(epoch: number, from: number, count: number): Promise<number>;
}

export function makeFeed(source: DataSource, batchSize: number, seed: number): Feed {
  if (isStateful(source)) return statefulFeed(source);
  const indexed = isArrays(source) ? fromArrays(source) : source;
  if (!Number.isInteger(indexed.length) || indexed.length < 1)
    throw new TrainstashError('moduleInvalid', 'The training data has no samples.', {
      file: '',
      problem: 'data length',
    });
  return indexedFeed(indexed, batchSize, seed);
}

/** Yields all batches in order, for validation. */
export function* eachBatch(
  source: IndexedData | ArrayData,
  batchSize: number,
): Generator<{ size: number; batch: Promise<Batch> }> {
  const indexed = isArrays(source) ? fromArrays(source) : source;
  for (let start = 0; start < indexed.length; start += batchSize) {
    const size = Math.min(batchSize, indexed.length - start);
    const indices = Int32Array.from({ length: size }, (_, i) => start + i);
    yield { size, batch: Promise.resolve(indexed.batch(indices)) };
  }
}

function indexedFeed(source: IndexedData, batchSize: number, seed: number): Feed {
  const batches = Math.ceil(source.length / batchSize);
  let order: { epoch: number; indices: Int32Array } | null = null;
  return {
    batches,
    samples: source.length,
    async batch(epoch, index) {
      if (index >= batches) return null;
      if (order?.epoch !== epoch) {
        const indices =
          source.shuffle === false
            ? Int32Array.from({ length: source.length }, (_, i) => i)
            : permutation(source.length, seed, epoch);
        order = { epoch, indices };
      }
      return source.batch(order.indices.slice(index * batchSize, (index + 1) * batchSize));
    },
    state: () => undefined,
    restore: async () => {},
    leaveOut: async (_epoch, from, count) => Math.min(count, batches - from),
  };
}

function statefulFeed(source: StatefulData): Feed {
  return {
    batches: source.batches ?? null,
    samples: null,
    batch: (epoch) => source.next(epoch),
    state: () => source.state(),
    restore: async (state) => source.restore(state),
    async leaveOut(epoch, _from, count) {
      for (let left = 0; left < count; left++) {
        const batch = await source.next(epoch);
        if (batch === null) return left;
        tf.dispose([batch.x, batch.y]);
      }
      return count;
    },
  };
}

function fromArrays({ x, y, shuffle }: ArrayData): IndexedData {
  return {
    length: x.shape[0]!,
    shuffle,
    batch(indices) {
      const index = tf.tensor1d(indices, 'int32');
      const batch = { x: tf.gather(x, index), y: tf.gather(y, index) };
      index.dispose();
      return batch;
    },
  };
}

function isStateful(source: DataSource): source is StatefulData {
  return typeof (source as StatefulData).next === 'function';
}

function isArrays(source: DataSource): source is ArrayData {
  return (source as ArrayData).x !== undefined;
}

/**
 * Makes a digest that changes with the data, within reason: of all content if it is small, else of its length and of
 * samples. Restores the random numbers. Null for a stateful source.
 */
export async function fingerprint(
  source: DataSource,
  declared: string | undefined,
  random: Random,
): Promise<string | null> {
  const hash = createHash('sha256').update(declared ?? '');
  const before = random.state;
  try {
    if (isStateful(source)) return declared === undefined ? null : hash.digest('hex').slice(0, 16);
    if (isArrays(source)) {
      for (const tensor of [source.x, source.y]) await updateWith(hash, tensor);
    } else {
      hash.update(`length ${source.length}`);
      const count = Math.min(FINGERPRINT_SAMPLES, source.length);
      const indices = Int32Array.from({ length: count }, (_, i) => Math.floor((i * source.length) / count));
      const batch = await source.batch(indices);
      for (const tensor of [batch.x, batch.y]) {
        await updateWith(hash, tensor);
        tensor.dispose();
      }
    }
    return hash.digest('hex').slice(0, 16);
  } finally {
    random.state = before;
  }
}

async function updateWith(hash: ReturnType<typeof createHash>, tensor: Tensor): Promise<void> {
  hash.update(`${tensor.dtype} ${tensor.shape.join('x')}`);
  const bytes = tensor.size * 4;
  const part = bytes <= FINGERPRINT_BYTES ? tensor : firstRows(tensor, FINGERPRINT_BYTES / bytes);
  const values = (await part.data()) as Float32Array;
  hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  if (part !== tensor) part.dispose();
}

function firstRows(tensor: Tensor, share: number): Tensor {
  const rows = Math.max(1, Math.floor(tensor.shape[0]! * share));
  return tf.slice(tensor, 0, rows);
}
