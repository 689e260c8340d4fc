import { describe, expect, test } from 'vitest';
import { digestOf } from '../../daemon/store/checkpoints/writer.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON, pythonLaunch, runPython, script } from '../support/python.ts';
import { useForks } from '../support/python-forks.ts';
import { hasTurn, sample } from '../support/sample.ts';
import { events, inbox, losses, resumeFrom } from '../support/trainer.ts';

const VARIANTS: [string, Record<string, string>][] = [
  ['no workers', {}],
  ['two workers', { WORKERS: '2' }],
  ['two persistent workers', { WORKERS: '2', PERSISTENT: '1' }],
  ['a weighted sampler', { WORKERS: '2', WEIGHTED: '1' }],
  ['two loaders of different lengths, zipped', { ZIP: '1', WORKERS: '2' }],
  ['channels_last', { CHANNELS_LAST: '1' }],
  ['bfloat16 weights with float32 slots', { BF16: '1' }],
];

const fork = useForks();

describe.skipIf(!PYTHON)('PyTorch, three lines: killed, resumed, paused, resumed is bit for bit the same', () => {
  for (const [i, [name, env]] of [VARIANTS[0]!, ...sample(VARIANTS.slice(1), 2)].entries()) {
    test(name, async () => {
      const sessions = temporaryFolder();
      // The first one as programs of their own, which share not even the seed of their hashes.
      const begin = i === 0 ? runPython : fork;
      const run = (launch = pythonLaunch(), more: Record<string, string> = {}) =>
        begin(sessions, launch, [script('train.py')], { ...env, ...more });
      const whole = await run();
      expect(whole.output).toContain('FINAL');
      const killed = await run(pythonLaunch(), { DIE: '21' });
      expect(killed.signal).toBe('SIGKILL');
      const paused = await run(resumeFrom(pythonLaunch(), inbox(killed.directory).at(-1)!), { PAUSE: '29' });
      expect(paused.code).toBe(0);
      expect(paused.final).toBe('');
      expect(paused.directory.exit()).toMatchObject({ outcome: 'paused' });
      const resumed = await run(resumeFrom(pythonLaunch(), inbox(paused.directory).at(-1)!));
      expect(resumed.final).toBe(whole.final);
      // The state files are equal to the last bit, and so are the losses of the steps that were done twice.
      expect(digestOf(inbox(resumed.directory).at(-1)!.path)).toBe(digestOf(inbox(whole.directory).at(-1)!.path));
      const first = new Map(losses(whole.directory));
      const again = losses(paused.directory);
      expect(again.length).toBeGreaterThan(8);
      for (const [step, loss] of again) expect(loss).toBe(first.get(step));
      expect(inbox(resumed.directory).at(-1)!.facts).toMatchObject({ grade: 'complete', missing: [] });
    });
  }

  test('a checkpoint that is due at the last batch of an epoch waits for its end: nothing of it runs again', async () => {
    const sessions = temporaryFolder();
    const whole = await fork(sessions, pythonLaunch(), [script('train.py')]);
    const launch = pythonLaunch({ checkpoint: { everySeconds: 0, everySteps: 16, everyEpochs: null, onBest: false } });
    const killed = await fork(sessions, launch, [script('train.py')], { DIE: '18' });
    const from = inbox(killed.directory).at(-1)!;
    expect(from.facts).toMatchObject({ step: 16, epoch: 1, batch: 0 });
    expect(from.facts.metrics).toHaveProperty('val_loss');
    const resumed = await fork(sessions, resumeFrom(launch, from), [script('train.py')]);
    expect(resumed.final).toBe(whole.final);
    expect(losses(resumed.directory)[0]![0]).toBe(17);
    const scores = events(resumed.directory).filter((event) => event.type === 'metrics' && 'val_loss' in event.values);
    expect(scores).toHaveLength(2);
  });

  test('from the best checkpoint, which is of the end of the epoch that it was judged by', async () => {
    const sessions = temporaryFolder();
    const launch = pythonLaunch({
      checkpoint: { everySeconds: 0, everySteps: null, everyEpochs: null, onBest: true },
      monitor: { metric: 'val_loss', mode: 'min' },
    });
    const whole = await fork(sessions, launch, [script('train.py')]);
    const best = inbox(whole.directory).findLast(({ facts }) => facts.reasons.includes('best') && facts.step < 48)!;
    expect(best.facts.metrics).toHaveProperty('val_loss');
    const resumed = await fork(sessions, resumeFrom(launch, best), [script('train.py')]);
    expect(resumed.final).toBe(whole.final);
  });

  test('two processes with gloo: killed between two checkpoints, resumed, paused at an announced step, resumed', {
    skip: !hasTurn('two processes', 0, 2),
  }, async () => {
    const sessions = temporaryFolder();
    const words = [script('launch.py'), '2', script('ddp.py')];
    const whole = await runPython(sessions, pythonLaunch(), words);
    expect(whole.final.split('\n')).toHaveLength(2);
    const killed = await runPython(sessions, pythonLaunch(), words, { DIE: '21' });
    const paused = await runPython(sessions, resumeFrom(pythonLaunch(), inbox(killed.directory).at(-1)!), words, {
      PAUSE: '27',
    });
    expect(paused).toMatchObject({ code: 0, final: '' });
    const resumed = await runPython(sessions, resumeFrom(pythonLaunch(), inbox(paused.directory).at(-1)!), words);
    expect(resumed.final).toBe(whole.final);
  });

  test('in one process what two have trained: it goes on after the samples seen, and says that it is partial', {
    skip: !hasTurn('two processes', 1, 2),
  }, async () => {
    const sessions = temporaryFolder();
    const killed = await runPython(sessions, pythonLaunch(), [script('launch.py'), '2', script('ddp.py')], {
      DIE: '21',
    });
    // At the end of an epoch there is no position in the data.
    const inside = inbox(killed.directory).find(({ facts }) => facts.batch > 0);
    const alone = await runPython(sessions, resumeFrom(pythonLaunch(), inside!), [
      script('launch.py'),
      '1',
      script('ddp.py'),
    ]);
    expect(alone.code).toBe(0);
    const { grade, missing } = inbox(alone.directory).at(-1)!.facts;
    expect(grade).toBe('partial');
    expect(missing.join()).toMatch(/after (80|160) samples/);
  });
});

/** Removes each rule once and expects a changed result: none of them is superfluous. */
describe.skipIf(!PYTHON)('controls', () => {
  const CONTROLS: [string, Record<string, string>][] = [
    ['without random numbers', { CONTROL: 'rng' }],
    ['without the place in the data', { CONTROL: 'place', BF16: '1' }],
    ['with random numbers put back before the iterator is made', { CONTROL: 'early', WORKERS: '2' }],
    ['without seeding each batch', { CONTROL: 'batches', WORKERS: '2', PERSISTENT: '1' }],
    ['with float32 slots cast to the weights’ type', { CONTROL: 'cast', BF16: '1' }],
    ['without the optimizer’s slots', { CONTROL: 'slots' }],
    ['without the user’s own generator', { CONTROL: 'generator' }],
  ];
  for (const [name, env] of sample(CONTROLS, 3)) {
    test(`${name} a resume is another training`, async () => {
      const sessions = temporaryFolder();
      const words = [script('controls.py'), script('train.py')];
      const whole = await fork(sessions, pythonLaunch(), words, env);
      expect(whole.output).toContain('FINAL');
      const killed = await fork(sessions, pythonLaunch(), words, { ...env, DIE: '29' });
      const resumed = await fork(sessions, resumeFrom(pythonLaunch(), inbox(killed.directory).at(-1)!), words, env);
      expect(resumed.output).toContain('FINAL');
      expect(resumed.final).not.toBe(whole.final);
    });
  }
});
