/**
 * Entry of a process that tries one backend: `probe.js <request>`. A faulty driver may hang or end it, and nothing
 * else. It writes its result to stdout as one line of JSON.
 */
import type { BackendName } from '../protocol/domain.ts';
import { isError, toWire } from '../protocol/errors.ts';
import { startCpu } from './backends/cpu.ts';
import { startBackend } from './backends/start.ts';
import { lossError, stepMs } from './backends/trial.ts';
import { errorBetween } from './kernels/check.ts';
import { kernelChecks } from './kernels/checks.ts';
import { tf } from './tf.ts';

export interface ProbeRequest {
  backend: BackendName;
  from: string | null;
  threads: number;
  /** True to identify only the device. */
  identify: boolean;
}

export type ProbeReply =
  | {
      environment: Record<string, string>;
      stepMs: number | null;
      /** Operations that it does not have in the form that was tried: a model that needs one is refused by name. */
      unsupported: string[];
    }
  /** Reason why it cannot be used or trusted. */
  | { reason: string };

const MAX_LOSS_ERROR = 1e-3;
const MAX_KERNEL_ERROR = 1e-4;

async function probe({ backend: name, from, threads, identify }: ProbeRequest): Promise<ProbeReply> {
  const { environment, memory } = await startBackend(name, { from, threads });
  if (identify) return { environment, stepMs: null, unsupported: [] };
  const registered = tf.getBackend();
  await startCpu();
  const unsupported: string[] = [];
  if (name !== 'cpu') {
    for (const [what, check] of Object.entries(kernelChecks)) {
      const error = await errorBetween(['cpu', registered], check).catch((failure: unknown) => {
        if (!isError(failure, 'kernelUnsupported')) throw failure;
        unsupported.push(what);
        return 0;
      });
      if (error > MAX_KERNEL_ERROR) return { reason: `it computes ${what} wrongly (relative error ${short(error)})` };
    }
    const error = await lossError('cpu', registered);
    if (error > MAX_LOSS_ERROR)
      return {
        reason: `the losses of a small training differ from those in plain JavaScript (relative error ${short(error)})`,
      };
  }
  // Not timed on plain JavaScript: it would take half a minute, and nobody chooses it.
  const time = name === 'cpu' ? null : await stepMs(registered, isOneThread(name, environment));
  if (memory.kind === 'device') await memory.settle();
  return { environment, stepMs: time, unsupported };
}

/** Tells whether a step takes the time of one processor, and of nothing else. */
function isOneThread(name: BackendName, environment: Record<string, string>): boolean {
  return name === 'wasm'
    ? environment.threads === '1'
    : name === 'tensorflow' && environment.threads === '1' && !environment.cuda;
}

function short(value: number): string {
  return Number.isFinite(value) ? value.toExponential(1) : 'no number';
}

const reply = await probe(JSON.parse(process.argv[2]!)).catch((error: unknown): ProbeReply => {
  const { code, message, data } = toWire(error);
  return { reason: code === 'backendUnavailable' ? (data as { reason: string }).reason : message.split('\n')[0]! };
});
process.stdout.write(`\n${JSON.stringify(reply)}\n`, () => process.exit());
