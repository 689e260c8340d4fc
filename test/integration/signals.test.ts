/** Signals to the runner of a script with the package: it passes them on, and the run is paused at the step that it had reached. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandFixture, log, start } from '../support/commands.ts';
import { kill, openProject, show, trainerPid, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { sample } from '../support/sample.ts';

const SCRIPT = `import os, time, trainstash
run = trainstash.init()
state = run.state(total=0)
print('torchrun handles', os.environ['PET_SIGNALS_TO_HANDLE'])
for x in run.batches(list(range(100_000))):
    state.total += x
    run.step(loss=1.0)
    time.sleep(0.01)
`;

describe.skipIf(!PYTHON)('a signal to the runner', () => {
  for (const signal of sample(['SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const))
    test(`${signal} pauses the run, with a checkpoint of its last step`, async () => {
      const fixture = commandFixture();
      writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
      const client = await openProject(fixture);
      const run = await start(client, fixture, [PYTHON, 'train.py']);
      await until('it trains', async () => (await show(client, fixture, run.id)).run.step > 5);
      kill(await trainerPid(fixture, run), signal);
      const paused = await untilStatus(client, fixture, run.id, 'paused');
      expect(paused.reason).toBe(`after ${signal}`);
      expect(paused.lastCheckpoint!.step).toBe(paused.step);
      expect(await log(client, fixture, run.id)).toContain('SIGUSR1,SIGUSR2');
    });
});
