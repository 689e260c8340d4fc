/** Tries a back end in a process of its own: a driver that hangs or crashes takes nobody with it. */
import { spawn } from 'node:child_process';
import * as v from 'valibot';
import { forTests, trainingEnvironment } from '../sessions/launch.ts';
import type { Candidate } from './candidates.ts';

export interface Probe {
  /** The Node to run it under. */
  node: string;
  /** The bundle. */
  entry: string;
  environment: Record<string, string>;
  /** Only which device it has. */
  identify: boolean;
  timeoutMs: number;
}

const replySchema = v.union([
  v.object({ environment: v.record(v.string(), v.string()), stepMs: v.nullable(v.number()) }),
  v.object({ reason: v.string() }),
]);
export type ProbeReply = v.InferOutput<typeof replySchema>;

const KEPT_OUTPUT = 64 << 10;

/** Never rejects: whatever goes wrong is a reason not to use it. */
export function probe({ backend, from, threads }: Candidate, how: Probe): Promise<ProbeReply> {
  const request = JSON.stringify({ backend, from, threads, identify: how.identify });
  const child = spawn(how.node, ['--disable-warning=ExperimentalWarning', how.entry, request], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: probeEnvironment(how),
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
    }, how.timeoutMs);
    const done = (reply: ProbeReply) => {
      clearTimeout(timer);
      resolve(reply);
    };
    child.once('error', (error) => done({ reason: error.message }));
    child.once('close', (code, signal) => {
      const reply = parse(output);
      if (isLate) done({ reason: `it did not answer within ${Math.round(how.timeoutMs / 1000)} s` });
      else if (reply) done(reply);
      else {
        const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
        const said = errors.trim().split('\n').at(-1)?.trim();
        done({ reason: `its process ${how}${said ? ` (${said.slice(0, 200)})` : ''}` });
      }
    });
  });
}

/** As its training will have it. */
function probeEnvironment({ environment }: Probe): Record<string, string> {
  return {
    ...trainingEnvironment(environment),
    ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
    ...forTests(),
  };
}

function parse(output: string): ProbeReply | null {
  for (const line of output.trim().split('\n').reverse()) {
    try {
      const reply = v.safeParse(replySchema, JSON.parse(line));
      if (reply.success) return reply.output;
    } catch {
      // A library's own words.
    }
  }
  return null;
}
