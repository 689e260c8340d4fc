/**
 * The adapters against stand-ins that keep the documented contracts of the frameworks (see frameworks/README.md): this tests our side.
 * The real frameworks are not installed where these tests usually run.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Launch } from '../../protocol/session.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE, PYTHON, type PythonRun, pythonLaunch, runPython, SCRIPTS } from '../support/python.ts';
import { events, inbox, losses, resumeFrom } from '../support/trainer.ts';

const HEAD = `
import os, random, signal, sys
import numpy as np
random.seed(0); np.random.seed(0)
import trainstash
def die(step, at='DIE'):
    if step == int(os.environ.get(at, -1)):
        __import__('time').sleep(0.3)  # What is being written is whole by then.
        os.kill(os.getpid(), signal.SIGKILL)
def pause(step):
    if step == int(os.environ.get('PAUSE', -1)):
        open(os.path.join(os.environ['TRAINSTASH_SESSION'], 'control'), 'w').write('{"seq": 1, "pause": true}')
        __import__('time').sleep(0.15)  # Requests are looked for ten times a second.
`;

const SCRIPT: Record<string, string> = {
  paddle: `${HEAD}
import paddle
class Fate(paddle.callbacks.Callback):
    step = 0
    def on_train_batch_end(self, batch, logs=None): self.step += 1; die(self.step)
model = paddle.Model()
x = [np.random.RandomState(i).normal(size=(4, 4)).astype('f4') for i in range(16)]
model.fit(x, int(os.environ.get('EPOCHS', 4)), callbacks=[Fate(), trainstash.paddle()])
print('FINAL', float(model.w.astype('f8').sum()), np.random.random())`,
};

describe.skipIf(!PYTHON)('adapters, against the documented contract of the callbacks', () => {
  function runner(framework: string, launch: Partial<Launch>) {
    const sessions = temporaryFolder();
    const path = join(sessions, 'script.py');
    writeFileSync(path, SCRIPT[framework]!);
    const make = () => pythonLaunch(launch);
    const run = (use: Launch, env: Record<string, string> = {}): Promise<PythonRun> =>
      runPython(sessions, use, [path, temporaryFolder()], {
        ...env,
        PYTHONPATH: `${PACKAGE}:${join(SCRIPTS, 'frameworks')}`,
      });
    return { make, run };
  }

  test.each(['lightning'])('%s: killed, resumed, paused, resumed is bit for bit the same', async (framework) => {
    const { make, run } = runner(framework, {});
    const whole = await run(make());
    expect(whole.output).toContain('FINAL');
    const killed = await run(make(), { DIE: '21' });
    expect(killed.signal).toBe('SIGKILL');
    const paused = await run(resumeFrom(make(), inbox(killed.directory).at(-1)!), { PAUSE: '27' });
    expect(paused).toMatchObject({ code: 0, final: '' });
    expect(paused.directory.exit()).toMatchObject({ outcome: 'paused' });
    const from = inbox(paused.directory).at(-1)!;
    expect(from.facts).toMatchObject({ grade: 'complete', missing: [] });
    expect(from.facts.environment.adapter).toBe(framework);
    const resumed = await run(resumeFrom(make(), from));
    expect(resumed.final).toBe(whole.final);
    const first = new Map(losses(whole.directory));
    for (const [step, loss] of losses(paused.directory)) expect(loss).toBe(first.get(step));
    expect(events(resumed.directory)[0]).toMatchObject({ type: 'started', totalSteps: 48, stepsPerEpoch: 16 });
  });

  test('paddle: goes on from the end of an epoch with weights, optimizer and NumPy’s numbers', async () => {
    const { make, run } = runner('paddle', {
      checkpoint: { everySeconds: 0, everySteps: null, everyEpochs: 1, onBest: false },
    });
    const whole = await run(make());
    const killed = await run(make(), { DIE: '39' });
    const from = inbox(killed.directory).at(-1)!;
    expect(from.facts).toMatchObject({ step: 32, epoch: 2, grade: 'partial' });
    // It starts its epochs from the beginning: two are left.
    const resumed = await run(resumeFrom(make(), from), { EPOCHS: '2' });
    expect(resumed.final).toBe(whole.final);
  });

  test('a trainer of nobody’s is refused by name', async () => {
    const sessions = temporaryFolder();
    const path = join(sessions, 'script.py');
    writeFileSync(
      path,
      'import trainstash\ntry: trainstash.attach(object())\nexcept TypeError as error: print("FINAL", error)',
    );
    const { final } = await runPython(sessions, pythonLaunch(), [path]);
    expect(final).toContain('builtins.object is neither');
  });
});
