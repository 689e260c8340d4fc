/** Tries a backend in a separate process, which contains a driver that hangs or crashes. */
import { spawn } from 'node:child_process';
import * as v from 'valibot';
import { namedRecord } from '../../protocol/any-names.ts';
import { testVariables, trainingEnvironment } from '../../session/launch.ts';
import type { Candidate } from './candidates.ts';

export interface Probe {
  /** Node to run the trial under. */
  node: string;
  /** Bundle to run. */
  entry: string;
  environment: Record<string, string>;
  /** True to find only the device that it has. */
  identify: boolean;
  timeoutMs: number;
}

const replySchema = v.union([
  v.object({
    environment: namedRecord(v.string(), v.string()),
    stepMs: v.nullable(v.number()),
    unsupported: v.array(v.string()),
  }),
  v.object({ reason: v.string() }),
]);
export type ProbeReply = v.InferOutput<typeof replySchema>;

const KEPT_OUTPUT = 64 << 10;

/** Runs the trial. Never rejects: any failure is a reason not to use the backend. */
export function probe({ backend, from, threads }: Candidate, options: Probe): Promise<ProbeReply> {
  const request = JSON.stringify({ backend, from, threads, identify: options.identify });
  const child = spawn(options.node, ['--disable-warning=ExperimentalWarning', options.entry, request], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: probeEnvironment(options),
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => {
    output = `${output}${data}`.slice(-KEPT_OUTPUT);
  });
  child.stderr.on('data', (data: Buffer) => {
    errors = `${errors}${data}`.slice(-KEPT_OUTPUT);
  });
  return new Promise((resolve) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, options.timeoutMs);
    const done = (reply: ProbeReply) => {
      clearTimeout(timer);
      resolve(reply);
    };
    child.once('error', (error) => done({ reason: error.message }));
    child.once('close', (code, signal) => {
      const reply = parse(output);
      if (isLate) done({ reason: `it did not answer within ${Math.round(options.timeoutMs / 1000)} s` });
      else if (reply) done(reply);
      else {
        const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
        const lastLine = errors.trim().split('\n').at(-1)?.trim();
        done({ reason: `its process ${how}${lastLine ? ` (${lastLine.slice(0, 200)})` : ''}` });
      }
    });
  });
}

/** Makes the environment that a training has. */
function probeEnvironment({ environment }: Probe): Record<string, string> {
  return {
    ...trainingEnvironment(environment),
    ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
    ...testVariables(),
  };
}

function parse(output: string): ProbeReply | null {
  for (const line of output.trim().split('\n').reverse()) {
    try {
      const reply = v.safeParse(replySchema, JSON.parse(line));
      if (reply.success) return reply.output;
    } catch {
      // Output of a library.
    }
  }
  return null;
}
