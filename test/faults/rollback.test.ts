/** Automatic rollback: first what goes wrong. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { queueChange } from '../../protocol/messages/queue.ts';
import { runPause, runRemove, runResume, runStart } from '../../protocol/messages/run.ts';
import { SCRIPT, startJob } from '../support/commands.ts';
import {
  type Fixture,
  kill,
  makeFixture,
  openProject,
  SMALL_JOB,
  shellEnvironment,
  show,
  startSmall,
  trainerPid,
  untilStatus,
  untilStep,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { FULL, hasTurn } from '../support/sample.ts';
import { TRAINERS } from '../support/trainer.ts';

/** Limit for several launches of PyTorch, one after the other. */
const LAUNCHES_MS = 150_000;
const HALVE = { do: 'rollback', then: { lr: '*0.5' } };

interface Torch extends Fixture {
  journal: string;
}

function torch(words: string, job: object): Torch {
  const fixture = makeFixture({ config: { jobs: {} } });
  const journal = join(fixture.folder, 'journal');
  cpSync(join(TRAINERS, 'torch_diverges.py'), join(fixture.root, 'torch_diverges.py'));
  const run = `${PYTHON} torch_diverges.py ${words} --journal ${journal}`;
  const jobs = { train: { run, params: { lr: 0.1 }, checkpoint: { every: '1000 steps' }, ...job } };
  writeFileSync(join(fixture.root, 'trainstash.json'), JSON.stringify({ jobs }));
  return { ...fixture, journal };
}

const noted = ({ journal }: Torch): string[] =>
  existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [];
const begun = (fixture: Torch) => noted(fixture).filter((line) => line.startsWith('begin'));
const textOf = ({ notices }: Run, code: string) => notices.find((notice) => notice.code === code)?.text ?? '';
const ended = (client: Client, fixture: Fixture, { id, name }: Run): Promise<Run> =>
  until(
    `${name} has ended`,
    async () => {
      const { run } = await show(client, fixture, id);
      return ['completed', 'paused', 'failed', 'lost'].includes(run.status) && run;
    },
    LAUNCHES_MS,
  );

describe('a rollback', () => {
  test('that changes nothing is refused with the job, since the run would compute the same again', async () => {
    for (const [onNaN, problem] of [
      [{ do: 'rollback' }, 'needs "then"'],
      [{ do: 'rollback', then: { lr: '*0.5' }, times: 0 }, 'onNaN'],
      [{ do: 'rollbck', then: { lr: 1 } }, 'onNaN'],
    ] as const) {
      const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, onNaN } } } });
      const client = await openProject(fixture);
      await expect(startSmall(client, fixture)).rejects.toMatchObject({
        code: 'configInvalid',
        message: expect.stringContaining(problem),
      });
    }
  });

  test('to a param that does not exist leaves the run paused, with its checkpoints', async () => {
    const onNaN = { do: 'rollback', then: { learning_rate: '*0.5' } };
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, onNaN } } } });
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startSmall(client, fixture, { nanAt: 7 }));
    expect(run.status).toBe('paused');
    expect(run.reason).toMatch(
      /^loss was NaN at step 7\. It was not rolled back: "then" names the param "learning_rate"/,
    );
    expect(run).toMatchObject({ lastCheckpoint: { step: 4 } });
    expect(run.rollbacks).toBeUndefined();
  });

  test('while trainstash.json has a mistake, or lacks the job, waits and goes on once it is mended', async () => {
    for (const mistake of ['{ "jobs": ', '{ "jobs": {} }']) {
      const onNaN = { do: 'rollback', then: { nanAt: 0 } };
      const fixture = makeFixture({
        config: { jobs: { small: { ...SMALL_JOB, checkpoint: { every: '2 steps' }, onNaN } } },
      });
      const client = await openProject(fixture);
      const { id } = await startSmall(client, fixture, { nanAt: 9, slow: 100 });
      await untilStep(client, fixture, id, 3);
      const config = join(fixture.root, 'trainstash.json');
      const text = readFileSync(config, 'utf8');
      writeFileSync(config, mistake);
      await until('it waits', async () => (await show(client, fixture, id)).run.waiting?.for === 'code');
      writeFileSync(config, text);
      const run = await ended(client, fixture, { id, name: 'it' } as Run);
      expect(run).toMatchObject({ status: 'completed', rolledBack: 1 });
    }
  });

  test('that cannot be noted ends the run with a sentence, and the next in the queue begins', async () => {
    const onNaN = { do: 'rollback', then: { nanAt: 0 } };
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, onNaN } } } });
    const client = await openProject(fixture);
    const { id, name } = await startSmall(client, fixture, { nanAt: 7, slow: 60 });
    const next = await startSmall(client, fixture, { epochs: 1 }, { queue: true });
    // Its note has a name that is taken.
    mkdirSync(join(fixture.store, 'queue', `${id}.json`, 'taken'), { recursive: true });
    const run = await ended(client, fixture, { id, name } as Run);
    await untilStatus(client, fixture, next.id, 'completed');
    expect(run).toMatchObject({ status: 'paused', lastCheckpoint: { step: 4 } });
    expect(textOf(run, 'undecided')).toMatch(
      /^It does not go on by itself: .* Its checkpoints are kept; `trainstash resume 1`/,
    );
  });

  test('whose checkpoint is gone when its turn comes ends with a sentence, and goes on from another one by hand', async () => {
    const onNaN = { do: 'rollback', then: { nanAt: 0 } };
    const fixture = makeFixture({
      config: { jobs: { small: { ...SMALL_JOB, checkpoint: { every: '2 steps' }, onNaN } } },
    });
    let client = await openProject(fixture);
    const { root } = fixture;
    await client.request(queueChange, { root, paused: true });
    const { id } = await startSmall(client, fixture, { nanAt: 7 });
    await untilStatus(client, fixture, id, 'queued');
    const { checkpoints } = await show(client, fixture, id);
    const entry = join(fixture.store, 'queue', `${id}.json`);
    const queued = readFileSync(entry, 'utf8');
    // A fast training may pass over a checkpoint while it writes the one before.
    const target = checkpoints.find((checkpoint) => queued.includes(checkpoint.id))!;
    await expect(client.request(runRemove, { root, target: target.id })).rejects.toMatchObject({ code: 'protectedBy' });
    // So it can only vanish behind the daemon's back.
    kill(client.daemon.pid, 'SIGKILL');
    await client.closed;
    writeFileSync(entry, queued.replace(target.id, 'gonegonegone'));
    client = await openProject(fixture);
    await client.request(queueChange, { root, paused: false });
    const run = await ended(client, fixture, { id, name: 'it' } as Run);
    expect(run.status).toBe('failed');
    expect(run.reason).toBe(
      `small #1 was to be rolled back to step ${target.step}, and that checkpoint is gone. Nothing else was lost: \`trainstash resume 1\` goes on from the newest good one.`,
    );
    const environment = { PATH: process.env.PATH! };
    await client.request(runResume, { root, run: id, accept: true, environment });
    const after = await untilStatus(client, fixture, id, 'completed');
    expect(after).toMatchObject({ step: 18, metrics: { loss: { notFinite: 0 } } });
  });

  test('is no proof of anything, even if the steps after it are the same', async () => {
    const onNaN = { do: 'rollback', then: { nanAt: 0, marker: 'says nothing to the training' } };
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, onNaN } } } });
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startSmall(client, fixture, { nanAt: 7 }));
    expect(run).toMatchObject({ status: 'completed', rolledBack: 1 });
    const { checkpoints } = await show(client, fixture, run.id);
    expect(checkpoints.map(({ proof }) => proof)).toEqual(checkpoints.map(() => null));
    expect(run.notices.map(({ code }) => code)).not.toContain('verified');
  });

  test('still counts when the trainer is killed afterwards and the run restarts by itself', async () => {
    const onNaN = { do: 'rollback', then: { nanAt: 0, slow: 400 } };
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, onNaN } } } });
    const client = await openProject(fixture);
    const params = { nanAt: 7, slow: 1 };
    const request = { root: fixture.root, job: 'small', params, environment: shellEnvironment(), restarts: 3 };
    const { id } = await client.request(runStart, request);
    const trains = (session: number) =>
      until(`session ${session} trains`, async () => {
        const { run } = await show(client, fixture, id);
        return run.status === 'running' && run.sessions === session && run;
      });
    const rolledBack = await trains(2);
    expect(rolledBack.rolledBack).toBe(1);
    kill(await trainerPid(fixture, rolledBack), 'SIGKILL');
    expect((await trains(3)).rolledBack).toBe(1);
  });

  test('of a TensorFlow.js training goes back to the newest good checkpoint with the new params', async () => {
    const onNaN = { do: 'rollback', then: { nanAt: 0, learningRate: '/2' }, skip: 1 };
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, onNaN } } } });
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startSmall(client, fixture, { nanAt: 7 }));
    expect(run).toMatchObject({ status: 'completed', sessions: 2, params: { nanAt: 0, learningRate: 0.005 } });
    // One batch of the first epoch was left out.
    expect(run.step).toBe(17);
    expect(run.rollbacks).toMatchObject([{ trouble: 'nan', step: 7, toStep: 4, skip: { count: 1, unit: 'batches' } }]);
    expect(textOf(run, 'rolledBack')).toBe(
      'loss was NaN at step 7. It goes back to step 4, its newest good checkpoint before that, with nanAt 0 instead of 7, learningRate 0.005 instead of 0.01, without the next batch (rollback 1 of 3).',
    );
    expect(run.metrics.loss?.notFinite).toBe(0);
    const { stdout } = await fixture.cli('show', '1');
    expect(stdout).toContain('goes back to step 4');
  });
});

describe.skipIf(!PYTHON)('a rollback of a PyTorch training in three lines', { timeout: LAUNCHES_MS }, () => {
  test('ends after the allowed number with a clear sentence, and a resume by hand begins to count anew', async () => {
    const fixture = torch('--at 12 --above 0.001', { onNaN: { ...HALVE, times: 2 } });
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startJob(client, fixture, 'train'));
    expect(run).toMatchObject({ status: 'paused', sessions: 3, rolledBack: 2, params: { lr: 0.025 } });
    expect(run.reason).toBe(
      `loss was NaN at step 12. It was not rolled back: it was rolled back 2 times already, and its job allows 2. Its checkpoints are kept; \`trainstash resume 1\` goes on from the newest good one.`,
    );
    // The checkpoint at step 10 led to trouble again, so the second one went further back.
    expect(run.rollbacks?.map(({ toStep }) => toStep)).toEqual([10, 5]);
    const { checkpoints } = await show(client, fixture, run.id);
    expect(checkpoints.filter(({ trashedAt }) => trashedAt === null).length).toBe(checkpoints.length);
    expect(checkpoints.find(({ step }) => step === 10)).toMatchObject({ trouble: 'nan' });
    await client.request(runResume, {
      root: fixture.root,
      run: run.id,
      set: { lr: 0.0001 },
      accept: true,
      environment: { PATH: process.env.PATH! },
    });
    expect(await ended(client, fixture, run)).toMatchObject({ status: 'completed', rolledBack: 0, step: 60 });
  });

  test('goes on although the daemon died while the script trained, and another one has to see it', {
    skip: !hasTurn('what comes between a rollback and its run', 0, 2),
  }, async () => {
    const fixture = torch('--at 12 --above 0.06 --wait-at 8', { onNaN: HALVE });
    const first = await openProject(fixture);
    const run = await startJob(first, fixture, 'train');
    await untilStep(first, fixture, run.id, 8);
    kill(fixture.daemonPid(), 'SIGKILL');
    writeFileSync(`${fixture.journal}.go`, '');
    await until('the script has ended', () => existsSync(join(fixture.store, 'sessions', run.session!, 'exit.json')));
    const client = await openProject(fixture);
    const after = await ended(client, fixture, run);
    expect(after).toMatchObject({ status: 'completed', step: 60, params: { lr: 0.05 }, rolledBack: 1 });
    expect(begun(fixture)).toEqual(['begin 0 0.1', 'begin 10 0.05']);
  });

  test('gives way to a pause by hand, and waits in a paused queue', {
    skip: !hasTurn('what comes between a rollback and its run', 1, 2),
  }, async () => {
    const fixture = torch('--at 12 --above 0.06 --wait-at 11', { onNaN: HALVE });
    const client = await openProject(fixture);
    await client.request(queueChange, { root: fixture.root, paused: true });
    const run = await startJob(client, fixture, 'train');
    await untilStep(client, fixture, run.id, 11);
    writeFileSync(`${fixture.journal}.go`, '');
    const queued = await untilStatus(client, fixture, run.id, 'queued');
    expect(queued).toMatchObject({ rolledBack: 1, params: { lr: 0.05 } });
    const paused = await client.request(runPause, { root: fixture.root, run: run.id });
    expect(paused.status).toBe('paused');
    await client.request(queueChange, { root: fixture.root, paused: false });
    expect(begun(fixture)).toHaveLength(1);
  });

  test('leaves out the batches up to the trouble, and never meets them again', async () => {
    const fixture = torch('--nan-sample 77 --epochs 1', { onNaN: { do: 'rollback', skip: 'seen' } });
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startJob(client, fixture, 'train', {}, { seed: 3 }));
    expect(run).toMatchObject({ status: 'completed', metrics: { loss: { notFinite: 0 } } });
    expect(run.rollbacks).toHaveLength(1);
    const withSample = noted(fixture).filter((line) => line.split(' ').slice(2).includes('77'));
    expect(withSample).toHaveLength(1);
    const left = run.rollbacks!.reduce((sum, { skip }) => sum + skip!.count, 0);
    expect(run.step).toBe(20 - left);
    expect(run.notices.some(({ code }) => ['notLeftOut', 'notReproduced', 'partial'].includes(code))).toBe(false);
  });

  test.runIf(FULL)(
    'finds a spike right after a checkpoint, and keeps the state there as one that is not good',
    async () => {
      const fixture = torch('--at 52 --above 0.04 --factor 1000 --epochs 4', {
        onSpike: { ...HALVE, times: 5 },
        keep: { last: 20 },
      });
      const client = await openProject(fixture);
      const run = await ended(client, fixture, await startJob(client, fixture, 'train'));
      expect(run).toMatchObject({ status: 'completed', params: { lr: 0.025 } });
      expect(run.rollbacks?.map(({ trouble, step, toStep }) => [trouble, step, toStep])).toEqual([
        ['spike', 52, 50],
        ['spike', 52, 45],
      ]);
      const { checkpoints } = await show(client, fixture, run.id);
      expect(checkpoints.filter(({ reasons }) => reasons.includes('spike')).map(({ step }) => step)).toEqual([52, 52]);
    },
  );
});

describe.skipIf(!PYTHON)('a rollback of a command', () => {
  const FAILS = `${SCRIPT}\n`.replace(
    '    save(',
    "    if epoch == 2 and float(args.get('--size', 0)) > 3: sys.exit('out of memory')\n    save(",
  );
  const command = (job: object) => {
    const fixture = makeFixture({
      config: { jobs: { train: { run: 'python train.py', params: { size: 8 }, ...job } } },
    });
    writeFileSync(join(fixture.root, 'train.py'), FAILS);
    writeFileSync(join(fixture.root, '.gitignore'), 'out/\n');
    return fixture;
  };
  const onFailure = { do: 'rollback', then: { size: '/2' }, times: 4 };

  test('that fails goes back to its newest checkpoint, with other params', async () => {
    const fixture = command({ onFailure, resume: 'python train.py --resume ${checkpoint}' });
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startJob(client, fixture, 'train'));
    expect(run).toMatchObject({ status: 'completed', sessions: 3, params: { size: 2 } });
    expect(run.rollbacks?.map(({ trouble, toStep, set }) => [trouble, toStep, set])).toEqual([
      ['failure', 200, { size: 4 }],
      ['failure', 200, { size: 2 }],
    ]);
  });

  test('is refused where the script would find the bad checkpoints by itself', async () => {
    const fixture = command({ onNaN: { do: 'rollback', then: { size: 1 } } });
    writeFileSync(
      join(fixture.root, 'train.py'),
      SCRIPT.replace('loss={1 / (epoch + 1)}', 'loss={float("nan") if epoch == 1 else 1}').replace(
        "time.sleep(float(args.get('--sleep', 0)))",
        'time.sleep(3)',
      ),
    );
    const client = await openProject(fixture);
    const run = await ended(client, fixture, await startJob(client, fixture, 'train'));
    expect(run.status).toBe('paused');
    expect(run.reason).toContain('its command does not say which checkpoint to load');
  });
});
