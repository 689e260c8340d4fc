import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import type { ProcessRecord } from '../../../protocol/session.ts';
import { bootId, startTimeOf } from '../../../session/directory.ts';
import { untilGone } from '../../../session/processes.ts';
import { afterwards } from '../../support/cleanup.ts';
import { until } from '../../support/folder.ts';

/** No process has this id: Linux gives none above four million. */
const NOBODY = 2 ** 30;

const record = (child: number): ProcessRecord => ({
  pid: NOBODY,
  startTime: null,
  host: hostname(),
  bootId: bootId(),
  child: { pid: child, startTime: startTimeOf(child) },
});

function begin(script: string) {
  const child = spawn('sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  afterwards(() => {
    child.kill('SIGKILL');
  });
  return child;
}

test('a killed session is over once the last process of its command is, not when its runner is', async () => {
  const child = begin('sleep 1000 & sleep 1000');
  let over = false;
  const gone = untilGone(record(child.pid!)).then(() => {
    over = true;
  });
  // The first one that ends leaves the other.
  process.kill(child.pid!, 'SIGKILL');
  await once(child, 'exit');
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(over).toBe(false);
  process.kill(-child.pid!, 'SIGKILL');
  await gone;
});

test.runIf(process.platform === 'linux')('a dead process that nobody collects is not waited for', async () => {
  const child = begin('setsid true & echo $!; exec sleep 1000');
  const [said] = await once(child.stdout!, 'data');
  const dead = Number(String(said));
  await until('it has ended', () => startTimeOf(dead) === null);
  const began = performance.now();
  await untilGone(record(dead));
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('processes of another machine, and a session that has begun none, are not looked for', async () => {
  await untilGone(null);
  await untilGone({ ...record(process.pid), host: 'another' });
});
