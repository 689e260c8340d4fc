/** Sweeps that go wrong: bad values, runs that fail, no Optuna, daemons that die. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { runList, runRemove, runResume } from '../../protocol/messages/run.ts';
import { sweepChange, sweepList, sweepStart } from '../../protocol/messages/sweep.ts';
import {
  type Fixture,
  kill,
  makeFixture,
  openProject,
  shellEnvironment,
  trainerPid,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { FULL } from '../support/sample.ts';
import {
  killedSweep,
  optunaEnvironment,
  SWEEP,
  shownSweep,
  sweepFixture,
  untilSweep,
} from '../support/sweep-rounds.ts';

const OPTUNA = process.env.TRAINSTASH_TEST_OPTUNA;
const LAUNCHES_MS = 300_000;

/** Script that reports a loss, and fails or says nothing on request. It saves nothing. */
const SCRIPT = `
import sys
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if args.get('--fail') == 'yes': sys.exit('no such data set: imagenet')
open('journal', 'a').write(args['--lr'] + '\\n')
for step in range(1, 4):
    print(f"trainstash step={step} {args.get('--name', 'loss')}={float(args['--lr']) / step}", flush=True)
`;

function scripted(job: object = {}): Fixture {
  const train = { run: 'python3 train.py', params: { lr: 0.1 }, keep: { best: 'loss' }, ...job };
  const fixture = makeFixture({ config: { jobs: { train } } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  writeFileSync(join(fixture.root, '.gitignore'), 'journal\n');
  return fixture;
}

type Start = Partial<NonNullable<typeof sweepStart.params>>;
const begin = (client: Client, { root }: Fixture, request: Start) =>
  client.request(sweepStart, { root, job: 'train', environment: shellEnvironment(), ...request });
const noRuns = async (client: Client, { root, store }: Fixture) => {
  expect((await client.request(runList, { root, drafts: true })).runs).toEqual([]);
  expect((await client.request(sweepList, { root })).sweeps).toEqual([]);
  expect(existsSync(join(store, 'sweeps')) ? readdirSync(join(store, 'sweeps')) : []).toEqual([]);
};

describe('a sweep', { timeout: LAUNCHES_MS }, () => {
  test('over a param that does not exist, with no values or too many of them is refused, and leaves nothing', async () => {
    const fixture = scripted();
    const client = await openProject(fixture);
    for (const [request, code, text] of [
      [{ set: { lrr: { choice: [1, 2] } } }, 'paramUnknown', 'did you mean "lr"?'],
      [{ set: { momentum: { choice: [1, 2] } } }, 'paramUnknown', 'its code does not mention one'],
      [{ set: { lr: { choice: [0.001, 1e-3] } } }, 'paramInvalid', '"lr" has the value 0.001 twice'],
      [{}, 'paramInvalid', 'Nothing varies'],
      [{ sampler: 'grid', set: { lr: { uniform: [0, 1] } } }, 'paramInvalid', '--samples 30 draws from it'],
      [{ samples: 9, set: { lr: { choice: [1, 2] } } }, 'paramInvalid', 'there are only 2 combinations'],
      [{ set: { lr: { int: [1, 10_000] } } }, 'sweepLarge', '10,000 runs'],
      [{ set: { lr: { int: [1, 1e9] } }, accept: true }, 'paramInvalid', 'more than 100,000 combinations'],
      [{ set: { lr: { choice: [1] } }, params: { lr: 2 } }, 'paramInvalid', 'once as a fixed value'],
      [{ job: 'trian', set: { lr: { choice: [1] } } }, 'jobUnknown', 'did you mean "train"?'],
    ] as const)
      await expect(begin(client, fixture, request as Start), text).rejects.toMatchObject({
        code,
        message: expect.stringMatching(new RegExp(text.replace(/[?]/g, '\\?'), 'i')),
      });
    await noRuns(client, fixture);
  });

  test('of a module over a param that it does not have is an error of the request, and leaves nothing', async () => {
    const fixture = sweepFixture();
    const client = await openProject(fixture);
    const start = begin(client, fixture, { job: 'small', set: { warmup: { choice: [1, 2] } } });
    await expect(start).rejects.toMatchObject({ code: 'paramUnknown', message: expect.stringContaining('"warmup"') });
    await noRuns(client, fixture);
  });

  test('trains each combination once although the daemon is killed three times, and a deleted run does not return', async () => {
    const fixture = scripted();
    let client = await openProject(fixture);
    await begin(client, fixture, { set: { lr: { choice: [4, 3, 2, 1] }, name: { choice: ['loss'] } } });
    for (const least of [1, 2, 3]) {
      await until('runs were made', async () => (await shownSweep(client, fixture)).runs.length >= least, LAUNCHES_MS);
      kill(client.daemon.pid, 'SIGKILL');
      await client.closed;
      client = await openProject(fixture);
    }
    const sweep = await untilSweep(client, fixture, 'finished');
    expect(sweep).toMatchObject({ completed: 4, failed: 0, best: { params: { lr: 1 } } });
    expect(sweep.reason).toBe('4 of 4 runs completed; best loss 0.3333 in #4');
    const journal = readFileSync(join(fixture.root, 'journal'), 'utf8');
    expect(journal.trim().split('\n')).toEqual(['4', '3', '2', '1']);
    await client.request(runRemove, { root: fixture.root, target: '4' });
    expect((await shownSweep(client, fixture)).sweep).toMatchObject({ state: 'finished', best: { runNumber: 3 } });
    const { stdout } = await fixture.cli('sweep', 'show', '1');
    expect(stdout).toContain('★ #3');
  });

  test('whose runs all fail stops after three and says what the last one said; a resume tries three more', async () => {
    const fixture = scripted();
    const client = await openProject(fixture);
    await begin(client, fixture, { params: { fail: 'yes' }, set: { lr: { int: [1, 20] } } });
    const paused = await untilSweep(client, fixture, 'paused');
    expect(paused).toMatchObject({ failed: 3, live: 0 });
    expect(paused.reason).toMatch(/^all of its first 3 runs failed, the last one with: .*\. Nothing more is started/);
    expect(paused.reason).toContain('trainstash sweep resume 1');
    const environment = shellEnvironment();
    await client.request(sweepChange, { root: fixture.root, to: 'resume', environment });
    await until('three more', async () => (await shownSweep(client, fixture)).sweep.failed === 6, LAUNCHES_MS);
    await untilSweep(client, fixture, 'paused');
  });

  test('that is paused holds its runs, also those that are queued, and goes on with all of them', async () => {
    const fixture = sweepFixture();
    const client = await openProject(fixture);
    const { root } = fixture;
    const params = { holdAfter: 2, go: join(fixture.folder, 'go') };
    await begin(client, fixture, { job: 'small', params, set: { units: { choice: [4, 5, 6] } } });
    await until(
      'one trains',
      async () => (await shownSweep(client, fixture)).runs.some(({ step }) => step >= 2),
      LAUNCHES_MS,
    );
    await client.request(sweepChange, { root, to: 'pause' });
    await until('nothing is live', async () => {
      const { sweep } = await shownSweep(client, fixture);
      return sweep.live + sweep.queued === 0;
    });
    const held = (await shownSweep(client, fixture)).runs;
    expect(held.every(({ status }) => status === 'paused')).toBe(true);
    await expect(client.request(sweepChange, { root, to: 'pause' })).rejects.toMatchObject({ code: 'wrongStatus' });
    await client.request(sweepChange, { root, to: 'resume', environment: shellEnvironment() });
    const sweep = await untilSweep(client, fixture, 'finished');
    expect(sweep).toMatchObject({ completed: 3, other: 0 });
    expect((await shownSweep(client, fixture)).runs.map(({ step }) => step)).toEqual([18, 18, 18]);
  });

  test('whose trainers are killed, as by a machine that restarts, lets those runs go on', async () => {
    const fixture = sweepFixture();
    const client = await openProject(fixture);
    await begin(client, fixture, { job: 'small', params: { slow: 100 }, set: { units: { choice: [4, 5, 6] } } });
    const killed = new Set<string>();
    const killSome = async () => {
      for (const run of (await shownSweep(client, fixture)).runs)
        if (run.status === 'running' && !killed.has(run.id) && run.step >= 2 && killed.size < 2) {
          killed.add(run.id);
          kill(await trainerPid(fixture, run), 'SIGKILL');
        }
      return killed.size === 2;
    };
    await until('two trainers are killed', killSome, LAUNCHES_MS);
    const sweep = await untilSweep(client, fixture, 'finished');
    expect(sweep).toMatchObject({ completed: 3, failed: 0, other: 0 });
    const { runs } = await shownSweep(client, fixture);
    expect(
      runs
        .filter(({ sessions }) => sessions > 1)
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...killed].sort());
  });

  test('that was stopped does not end a run that a person resumes', async () => {
    const fixture = sweepFixture();
    const client = await openProject(fixture);
    const { root } = fixture;
    const params = { holdAfter: 2, go: join(fixture.folder, 'go') };
    await begin(client, fixture, { job: 'small', params, set: { units: { choice: [4, 5] } } });
    const trains = async () => (await shownSweep(client, fixture)).runs.find(({ step }) => step >= 2);
    const run = await until('one trains', trains, LAUNCHES_MS);
    await client.request(sweepChange, { root, to: 'stop' });
    await untilStatus(client, fixture, run.id, 'stopped');
    await client.request(runResume, { root, run: run.id, accept: true, environment: shellEnvironment() });
    await untilStatus(client, fixture, run.id, 'completed');
    expect((await shownSweep(client, fixture)).sweep.state).toBe('stopped');
  });

  test('with Optuna where there is none says where it looked and how to install it', async () => {
    const fixture = scripted({
      sweep: { ...SWEEP, params: { lr: { uniform: [0, 1] } }, pruner: undefined, samples: 3 },
    });
    const client = await openProject(fixture);
    const environment = { PATH: '/usr/bin:/bin' };
    await expect(begin(client, fixture, { environment })).rejects.toMatchObject({
      code: 'samplerMissing',
      message: expect.stringContaining('-m pip install optuna'),
    });
    await noRuns(client, fixture);
  });
});

describe.skipIf(!OPTUNA)('a sweep with Optuna', { timeout: LAUNCHES_MS * 4 }, () => {
  test('that is killed three times ends with each trial once, no step trained twice, and survivors with equal bits', async () => {
    expect(await killedSweep(OPTUNA!, FULL ? 30 : 5, 3)).toEqual([]);
  });

  test('whose metric is never logged, or NaN, asks for a look after three runs', async () => {
    const fixture = scripted({ sweep: { ...SWEEP, params: { lr: { uniform: [0, 1] } }, pruner: undefined } });
    const client = await openProject(fixture);
    const environment = optunaEnvironment(OPTUNA!);
    await begin(client, fixture, { environment, samples: 20, metric: 'val_loss' });
    const paused = await untilSweep(client, fixture, 'paused');
    expect(paused.reason).toContain('ended without a finite val_loss to be judged by; they logged loss');
    expect(paused).toMatchObject({ completed: 3, best: null });
  });

  test('of which the process is killed, or the journal torn, goes on', async () => {
    const fixture = scripted({ sweep: { ...SWEEP, params: { lr: { uniform: [0, 1] } }, pruner: undefined } });
    let client = await openProject(fixture);
    await begin(client, fixture, { environment: optunaEnvironment(OPTUNA!), samples: 4 });
    const journal = join(fixture.store, 'sweeps', readdirSync(join(fixture.store, 'sweeps'))[0]!, 'optuna.log');
    await until('two were made', async () => (await shownSweep(client, fixture)).runs.length >= 2, LAUNCHES_MS);
    kill(client.daemon.pid, 'SIGKILL');
    await client.closed;
    writeFileSync(journal, '{"op_code": 4, "wor', { flag: 'a' });
    client = await openProject(fixture);
    // The values of variables died with the daemon.
    const environment = optunaEnvironment(OPTUNA!);
    await client.request(sweepChange, { root: fixture.root, to: 'resume', environment });
    expect(await untilSweep(client, fixture, 'finished')).toMatchObject({ completed: 4 });
  });
});
