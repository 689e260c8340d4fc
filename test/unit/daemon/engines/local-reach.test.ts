/** Programs that the way to a folder of this machine runs. */
import { expect, test } from 'vitest';
import { runHere } from '../../../../daemon/engines/reaches/local.ts';

test('a program that prints more than is taken has failed: no part of its output counts as the whole', async () => {
  const run = (bytes: number) =>
    runHere(['head', '-c', String(bytes), '/dev/zero'], { input: '', environment: process.env, timeoutMs: 30_000 });
  const long = await run(70 << 20);
  expect(long).toMatchObject({ code: null, stdout: '' });
  expect(long.stderr).toContain('more than 64 MB');
  const short = await run(9 << 20);
  expect(short.code).toBe(0);
  expect(short.stdout).toHaveLength(9 << 20);
});
