/** Entry of the thread that writes checkpoints into the inbox while the training continues. */
import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { syncDirectory, syncFile, writeAll } from '../base/files.ts';
import { SLOT_BYTES, SLOT_FREE, type WriterReply, type WriterRequest, type WriterSetup } from './writer-protocol.ts';

/**
 * Number of bytes after which data is synced. The disk then starts early, and the last sync has little left to do. With
 * more unsynced data Linux takes ever more fresh memory for its cache, at up to three times the cost.
 */
const SYNC_BYTES = 16 << 20;

const { events, memory, states, replies } = workerData as WriterSetup;
const slots = new Int32Array(states);
const reply = (message: WriterReply) => replies.postMessage(message);

let open: { directory: string; file: number; unsynced: number } | null = null;
let failed = false;

parentPort!.on('message', (request: WriterRequest) => {
  try {
    if (request.type === 'begin') begin(request.directory, request.stateFile, request.header);
    else if (request.type === 'slot') writeSlot(request.slot, request.bytes);
    else if (request.type === 'commit') commit(request.target, request.checkpointFile, request.checkpoint);
    else abort();
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    abort();
    failed = true;
    reply({ type: 'failed', message, code: code ?? null });
  } finally {
    if (request.type === 'slot') {
      Atomics.store(slots, request.slot, SLOT_FREE);
      Atomics.notify(slots, request.slot);
    }
  }
});

function begin(directory: string, stateFile: string, header: Uint8Array): void {
  failed = false;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  open = { directory, file: openSync(join(directory, stateFile), 'wx'), unsynced: 0 };
  writeAll(open.file, header);
}

function writeSlot(slot: number, bytes: number): void {
  if (failed || !open) return;
  writeAll(open.file, Buffer.from(memory, slot * SLOT_BYTES, bytes));
  open.unsynced += bytes;
  if (open.unsynced < SYNC_BYTES) return;
  open.unsynced = 0;
  fdatasyncSync(open.file);
}

function commit(target: string, checkpointFile: string, checkpoint: string): void {
  if (failed || !open) return;
  const { directory, file } = open;
  fsyncSync(file);
  closeSync(file);
  open = null;
  const path = join(directory, checkpointFile);
  writeFileSync(path, checkpoint, { flush: true });
  syncDirectory(directory);
  syncEvents();
  renameSync(directory, target);
  syncDirectory(dirname(target));
  reply({ type: 'committed' });
}

function syncEvents(): void {
  try {
    syncFile(events);
  } catch {
    // The checkpoint is worth more than the events.
  }
}

function abort(): void {
  if (!open) return;
  const { directory, file } = open;
  open = null;
  closeSync(file);
  rmSync(directory, { recursive: true, force: true });
}
