/**
 * Converts the complete training state to tensors and one JSON text, and back. It is deterministic: two runs in the
 * same state give the same bytes. Times, ids and paths are not part of it.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { readHeader, type TensorEntry } from '../formats/safetensors-reader.ts';
import { type StateProblem, TrainstashError } from '../protocol/errors.ts';
import { markNumbers, unmarkNumbers } from '../protocol/numbers.ts';
import type { RandomState } from './random.ts';
import { tf } from './tf.ts';

/** Position of the training, and everything else that a resume needs. Plain JSON. */
export interface Progress {
  /** Number of optimizer steps done. */
  step: number;
  epoch: number;
  /** Number of batches of the epoch that are used up. */
  batch: number;
  samples: number;
  random: RandomState;
  /** State of a stateful data source. */
  data: unknown;
  optimizer: string;
  /** Sum and number of this epoch's batch losses, for the epoch's mean. */
  epochLoss: { sum: number; count: number };
  best: { value: number; step: number } | null;
  earlyStopping: { value: number; waited: number } | null;
  /** Last finite losses, to detect a spike. */
  recentLosses: number[];
  /** Newest value of every metric. */
  metrics: Record<string, number>;
  /** True if early stopping has ended the training. */
  finished: boolean;
}

export function initialProgress(random: RandomState, optimizer: string): Progress {
  return {
    step: 0,
    epoch: 0,
    batch: 0,
    samples: 0,
    random,
    data: null,
    optimizer,
    epochLoss: { sum: 0, count: 0 },
    best: null,
    earlyStopping: null,
    recentLosses: [],
    metrics: {},
    finished: false,
  };
}

export interface NamedTensor {
  name: string;
  tensor: Tensor;
}

const METADATA_KEY = 'trainstash.progress';
const DTYPES: Record<string, string> = { float32: 'F32', int32: 'I32', bool: 'BOOL' };

/** Collects all variables to keep, by stable names: `model/…` and `optimizer/…`. */
export function stateVariables(
  model: ReadonlyMap<string, Variable>,
  slots: ReadonlyMap<string, Variable>,
): Map<string, Variable> {
  const all = new Map<string, Variable>();
  for (const [name, variable] of model) all.set(`model/${name}`, variable);
  for (const [name, variable] of slots) all.set(`optimizer/${name}`, variable);
  return all;
}

export function describeTensors(tensors: readonly NamedTensor[]) {
  return tensors.map(({ name, tensor }) => ({
    name,
    dtype: DTYPES[tensor.dtype]!,
    shape: tensor.shape,
    bytes: tensor.size * (tensor.dtype === 'bool' ? 1 : 4),
  }));
}

export function progressMetadata(progress: Progress): Record<string, string> {
  return { [METADATA_KEY]: JSON.stringify(progress, markNumbers) };
}

/**
 * Loads a state file into the variables. Checks everything before the first value changes; throws `stateMismatch` with
 * every tensor that does not fit, and both shapes.
 */
export function loadState(path: string, variables: ReadonlyMap<string, Variable>, optimizer: string): Progress {
  const file = openSync(path, 'r');
  try {
    const read = (offset: number, length: number) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
    };
    const header = readHeader(read, fstatSync(file).size);
    const text = header.metadata[METADATA_KEY];
    if (text === undefined) throw new TrainstashError('corrupted', `${path} has no training progress.`, {});
    const progress = JSON.parse(text, unmarkNumbers) as Progress;
    // Before the tensors: another optimizer has other slots, and a list of those would hide the reason.
    if (progress.optimizer !== optimizer) throw optimizerChanged(progress.optimizer, optimizer);
    const entries = new Map(header.tensors.map((entry) => [entry.name, entry]));
    const problems = compare(entries, variables);
    if (problems.length > 0) throw mismatch(problems);
    for (const [name, variable] of variables) {
      const entry = entries.get(name)!;
      const value = toTensor(entry, read(entry.offset, entry.bytes));
      variable.assign(value);
      value.dispose();
    }
    return progress;
  } finally {
    closeSync(file);
  }
}

function compare(entries: ReadonlyMap<string, TensorEntry>, variables: ReadonlyMap<string, Variable>): StateProblem[] {
  const problems: StateProblem[] = [];
  for (const [name, variable] of variables) {
    const entry = entries.get(name);
    const fits = entry && entry.dtype === DTYPES[variable.dtype] && entry.shape.join() === variable.shape.join();
    if (!fits) problems.push({ tensor: name, checkpoint: entry?.shape ?? null, model: [...variable.shape] });
  }
  for (const [name, entry] of entries) {
    if (!variables.has(name)) problems.push({ tensor: name, checkpoint: entry.shape, model: null });
  }
  return problems;
}

function optimizerChanged(checkpoint: string, current: string): TrainstashError {
  return new TrainstashError(
    'preflightDiffers',
    `Not resumed: the checkpoint was made with the optimizer ${checkpoint}, the training now uses ${current}. Nothing was changed; start a new run for another optimizer.`,
    { differences: [{ kind: 'param', name: 'optimizer', checkpoint, current }] },
  );
}

function mismatch(problems: StateProblem[]): TrainstashError {
  const shape = (value: number[] | null) => (value === null ? 'missing' : `[${value.join(', ')}]`);
  const first = problems
    .slice(0, 3)
    .map(({ tensor, checkpoint, model }) => `${tensor} (checkpoint ${shape(checkpoint)}, model ${shape(model)})`);
  const more = problems.length > 3 ? ` and ${problems.length - 3} more` : '';
  return new TrainstashError(
    'stateMismatch',
    `The checkpoint does not fit the model: ${first.join(', ')}${more}. Nothing was changed; resume with the code and params of the checkpoint, or start a new run.`,
    { problems },
  );
}

function toTensor(entry: TensorEntry, bytes: Buffer): Tensor {
  const copy = new Uint8Array(bytes).buffer;
  const values =
    entry.dtype === 'F32'
      ? new Float32Array(copy)
      : entry.dtype === 'I32'
        ? new Int32Array(copy)
        : new Uint8Array(copy);
  const dtype = entry.dtype === 'F32' ? 'float32' : entry.dtype === 'I32' ? 'int32' : 'bool';
  return tf.tensor(values, entry.shape, dtype);
}
