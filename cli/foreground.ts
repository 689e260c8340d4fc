/** Runs that this process attends itself: without a daemon, and in the allocation of a scheduler, which a training must not leave. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { allocationHere, allocationTitle } from '../base/allocation.ts';
import type { Allocation } from '../protocol/allocation.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { UsageError } from './arguments.ts';
import type { Context } from './context.ts';

/** Refuses options that would let a training leave the allocation, or wait for a queue outside of it. */
export function refuseInside({ args }: Context, { kind, job }: Allocation): void {
  const outside = ['detach', 'queue', 'urgent'].filter((name) => args.flag(name));
  outside.push(...['after', 'at', 'restarts'].filter((name) => args.text(name) !== undefined));
  if (outside.length === 0) return;
  throw new UsageError(
    `--${outside[0]} has no meaning here: this is ${allocationTitle(kind)} ${job}, in which a training runs in the foreground and which the scheduler starts again. TRAINSTASH_ALLOCATION=none treats it as an ordinary machine.`,
  );
}

/** Refuses a resume by the daemon: it runs outside of the allocation, and so would the training. */
export function requireOutside(command: string): void {
  const allocation = allocationHere();
  if (!allocation) return;
  const { kind, job } = allocation;
  throw new TrainstashError(
    'insideAllocation',
    `\`trainstash ${command}\` would start the training by the daemon, which is not part of ${allocationTitle(kind)} ${job}. Nothing was started. In a job use \`trainstash run\`: it goes on by itself when the scheduler starts the job again; or type \`trainstash ${command} RUN --on ENGINE\` outside. TRAINSTASH_ALLOCATION=none treats this as an ordinary machine.`,
    { kind, job },
  );
}

/** Runs without a daemon: the trainer does everything itself. A daemon that is started later takes the run over. */
export async function runWithoutDaemon(context: Context, params: object): Promise<number> {
  const { args, dist, root } = context;
  const request = JSON.stringify({
    root,
    job: args.words[0],
    ...(args.command ? { command: args.command } : {}),
    params,
    seed: args.count('seed'),
    backend: args.text('backend'),
    interpreter: args.text('python'),
  });
  const words = ['--disable-warning=ExperimentalWarning', join(dist, 'standalone.js'), request];
  const child = spawn(process.execPath, words, { stdio: 'inherit' });
  // A scheduler may signal this process alone, or all of them.
  for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGINT'] as const)
    process.on(signal, () => void (signal === 'SIGINT' || child.kill(signal)));
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
