/** Makes checkpoints of a given size for the store. */
import { closeSync, fsyncSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { newRun } from '../daemon/runs/records.ts';
import { encodeHeader } from '../formats/safetensors.ts';
import { blankCheckpointFile } from '../protocol/records.ts';
import { CHECKPOINT_FILE, type CheckpointFile, STATE_FILE } from '../protocol/session.ts';

export const TENSOR_BYTES = 16 << 20;

export function benchRun() {
  return newRun({
    job: 'bench',
    params: {},
    overrides: [],
    seed: 0,
    backend: 'wasm',
    identity: { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] },
    restarts: 0,
  });
}

function layout(tensors: number) {
  return Array.from({ length: tensors }, (_, i) => ({
    name: `model/${i}`,
    dtype: 'F32',
    shape: [TENSOR_BYTES / 4],
    bytes: TENSOR_BYTES,
  }));
}

export function stateBytes(tensors: number): number {
  return encodeHeader(layout(tensors), {}).length + tensors * TENSOR_BYTES;
}

export function facts(id: string, session: string): CheckpointFile {
  return blankCheckpointFile(id, session, 1, Date.now());
}

/** Makes a checkpoint; `fill` gives the bytes of each tensor. It is in the page cache, as after a trainer's write. */
export function makeCheckpoint(
  directory: string,
  id: string,
  session: string,
  tensors: number,
  fill: (tensor: number) => Uint8Array,
): string {
  mkdirSync(directory, { recursive: true });
  const file = openSync(join(directory, STATE_FILE), 'w');
  writeSync(file, encodeHeader(layout(tensors), {}));
  for (let i = 0; i < tensors; i++) writeSync(file, fill(i));
  fsyncSync(file);
  closeSync(file);
  writeFileSync(
    join(directory, CHECKPOINT_FILE),
    JSON.stringify({ ...facts(id, session), files: [{ name: STATE_FILE, bytes: stateBytes(tensors) }] }),
  );
  return directory;
}
