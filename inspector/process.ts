/**
 * Entry of a process that inspects files: `process.js <ProcessSetup>`. A separate process, since the files are
 * untrusted: one that takes all memory or never ends, even inside a library, harms nothing else. The work is done in a
 * thread, so that the main thread can watch it and notice when the client is gone.
 */
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { MessageChannel, Worker } from 'node:worker_threads';
import type {
  Failure,
  FromProcess,
  FromThread,
  Limits,
  ProcessSetup,
  ReadAnswer,
  ThreadSetup,
  ToProcess,
} from './wire.ts';

const WATCH_MS = 50;
const MEBIBYTE = 1 << 20;

const { thread: entry, heapMebibytes, niceness } = JSON.parse(process.argv[2]!) as ProcessSetup;
if (niceness !== 0) setPriority(niceness);
preferForOutOfMemory();
process.once('disconnect', () => process.exit());

const { port1, port2 } = new MessageChannel();
const signal = new Int32Array(new SharedArrayBuffer(4));
const thread = new Worker(entry, {
  workerData: { reads: port2, signal } satisfies ThreadSetup,
  transferList: [port2],
  env: {},
  stdout: true,
  stderr: true,
});
let current: { id: number; limits: Limits; startedAt: number; usedBefore: number } | null = null;

thread.on('message', (message: FromThread) => {
  if (message.say === 'done' || message.say === 'failed') {
    current = null;
    process.send!({ ...message, residentBytes: process.memoryUsage.rss() } satisfies FromProcess);
  } else process.send!(message satisfies FromProcess);
});
thread.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') giveUp(outOfMemory(heapMebibytes * MEBIBYTE));
  else giveUp({ kind: 'died', problem: 'reading it failed for an unknown reason' });
});
process.on('message', (message: ToProcess) => {
  if (message.say === 'request') {
    current = { id: message.id, limits: message.limits, startedAt: performance.now(), usedBefore: processorMs() };
    thread.postMessage({ id: message.id, request: message.request });
    return;
  }
  const answer: ReadAnswer = message.say === 'bytes' ? { bytes: message.bytes } : { problem: message.problem };
  port1.postMessage(answer);
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
});

setInterval(() => {
  if (current === null) return;
  const { limits, startedAt, usedBefore } = current;
  const isLate =
    performance.now() - startedAt > limits.ms ||
    processorMs() - usedBefore > (limits.processorMs ?? Number.POSITIVE_INFINITY);
  if (process.memoryUsage.rss() > limits.bytes) giveUp(outOfMemory(limits.bytes));
  else if (isLate) giveUp({ kind: 'time', problem: 'it takes too long to be read' });
}, WATCH_MS).unref();

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function outOfMemory(bytes: number): Failure {
  return { kind: 'memory', problem: `reading it takes more than ${Math.round(bytes / MEBIBYTE)} MB of memory` };
}

/** Reports the failure and ends at once, whatever the thread is doing. */
function giveUp(failure: Failure): void {
  const end = () => process.kill(process.pid, 'SIGKILL');
  if (current === null) {
    end();
    return;
  }
  const { id } = current;
  current = null;
  process.send!({ say: 'failed', id, failure, residentBytes: Number.POSITIVE_INFINITY } satisfies FromProcess, end);
}

/** Makes this process the kernel's first choice when memory runs out, before any training. */
function preferForOutOfMemory(): void {
  if (process.platform !== 'linux') return;
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // The kernel does not allow it.
  }
}
