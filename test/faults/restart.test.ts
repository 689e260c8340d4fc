/** Restarts after a crash, and starts of queued runs: nothing may come between them and their devices. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runResume } from '../../protocol/messages/run.ts';
import { start } from '../support/commands.ts';
import {
  type Fixture,
  gitProject,
  kill,
  makeFixture,
  openProject,
  sessionDirectory,
  show,
  untilStatus,
} from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { type Gpus, makeGpus } from '../support/gpus.ts';
import { PYTHON } from '../support/python.ts';
import { TRAINERS } from '../support/trainer.ts';

interface Machine extends Fixture {
  gpus: Gpus;
  /** File while which git waits before it notes the code of the project. */
  hold: string;
  /** File that git writes when it waits. */
  held: string;
  journal: string;
}

/** Makes a machine with one GPU, where git can be held up in the project. */
function machine(): Machine {
  const folder = temporaryFolder();
  const gpus = makeGpus(join(folder, 'gpus'), [0]);
  const [hold, held, programs] = [join(folder, 'hold'), join(folder, 'held'), join(folder, 'programs')];
  const git = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(programs);
  const script = `#!/bin/sh
case "$PWD:$*" in */project:*write-tree*) while [ -e "${hold}" ]; do : > "${held}"; sleep 0.05; done;; esac
exec ${git} "$@"
`;
  writeFileSync(join(programs, 'git'), script, { mode: 0o755 });
  const env = { ...gpus.env, PATH: `${programs}${delimiter}${gpus.env.PATH}` };
  const fixture = makeFixture({ config: { jobs: {} }, env });
  copyScripts(fixture.root);
  return { ...fixture, gpus, hold, held, journal: join(fixture.folder, 'journal') };
}

function copyScripts(root: string): void {
  for (const name of ['gpus.py', 'plain_gpu.py']) cpSync(join(TRAINERS, name), join(root, name));
}

/** Opens a second project of the machine, where git is not held up. */
async function otherProject(client: Client, fixture: Machine): Promise<Machine> {
  const root = join(fixture.folder, 'other');
  mkdirSync(root);
  copyScripts(root);
  gitProject(root);
  await client.request(projectOpen, { root, trusted: true });
  return { ...fixture, root };
}

function begin(client: Client, fixture: Machine, name: string, extra: object = {}): Promise<Run> {
  const environment = fixture.env;
  return start(client, fixture, [PYTHON, 'plain_gpu.py', name, fixture.journal], { environment, gpu: 1, ...extra });
}

const noted = ({ journal }: Machine) =>
  existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [];
const begins = (fixture: Machine, name: string) => noted(fixture).filter((line) => line.startsWith(`begin ${name} `));

async function killProcess(client: Client, fixture: Fixture, run: Run): Promise<void> {
  const shown = (await show(client, fixture, run.id)).run;
  kill((await until('it has a process', () => sessionDirectory(fixture, shown).process()?.child?.pid))!, 'SIGKILL');
}

describe.skipIf(!PYTHON)('a run that crashes', () => {
  test('keeps its devices until it has been started again, however long git takes before that', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const run = await begin(client, fixture, 'a', { restarts: 1 });
    await until('it has begun', () => begins(fixture, 'a').length === 1);
    const other = await otherProject(client, fixture);
    const first = await begin(client, other, 'b', { queue: true });

    writeFileSync(fixture.hold, '');
    await killProcess(client, fixture, run);
    await until('git waits for the restart', () => existsSync(fixture.held));
    // The queue looks for devices whenever a run joins it.
    const second = await begin(client, other, 'c', { queue: true });
    const waits = async ({ id }: Run) => (await show(client, other, id)).run.reason;
    await until('the queue was looked at', async () => (await waits(second)) !== '');
    rmSync(fixture.hold);
    await until('it has begun again', () => begins(fixture, 'a').length === 2);
    expect([...begins(fixture, 'b'), ...begins(fixture, 'c')]).toEqual([]);

    for (const name of ['a', 'b', 'c']) writeFileSync(`${fixture.journal}.${name}`, '');
    await untilStatus(client, fixture, run.id, 'completed');
    for (const { id } of [first, second]) await untilStatus(client, other, id, 'completed');
    expect(
      noted(fixture)
        .filter((line) => line.startsWith('begin'))
        .map((line) => line.split(' ')[1]),
    ).toEqual(['a', 'a', 'b', 'c']);
  });

  test('waits for a device that is still in use when its restart is due, and keeps its count of restarts', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const run = await begin(client, fixture, 'a', { restarts: 3 });
    await until('it has begun', () => begins(fixture, 'a').length === 1);
    const free = fixture.gpus.occupy(0, process.pid);
    await killProcess(client, fixture, run);
    const waiting = await until('it waits', async () => {
      const shown = (await show(client, fixture, run.id)).run;
      return shown.status === 'queued' && shown;
    });
    expect(waiting.restart).toEqual({ max: 3, used: 1 });
    await until('it says for what', async () =>
      (await show(client, fixture, run.id)).run.reason.includes('used by other programs'),
    );
    free();
    await until('it has begun again', () => begins(fixture, 'a').length === 2);
    writeFileSync(`${fixture.journal}.a`, '');
    expect((await untilStatus(client, fixture, run.id, 'completed')).sessions).toBe(2);
  });

  test('is not started again once somebody has resumed it', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const run = await begin(client, fixture, 'a', { restarts: 5 });
    await until('it has begun', () => begins(fixture, 'a').length === 1);
    await killProcess(client, fixture, run);
    await untilStatus(client, fixture, run.id, 'lost');
    const options = {
      root: fixture.root,
      run: run.id,
      accept: true,
      environment: fixture.env as Record<string, string>,
    };
    await client.request(runResume, options);
    await until('it has begun again', () => begins(fixture, 'a').length === 2);
    // The time of a restart, which is a second, has to pass.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await show(client, fixture, run.id)).run).toMatchObject({ status: 'running', sessions: 2, reason: '' });
    writeFileSync(`${fixture.journal}.a`, '');
    expect((await untilStatus(client, fixture, run.id, 'completed')).sessions).toBe(2);
  });
});

test.skipIf(!PYTHON)(
  'a queued run whose device somebody takes while its code is looked at waits for its next turn',
  async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const other = await otherProject(client, fixture);
    await begin(client, other, 'a');
    await until('it has begun', () => begins(fixture, 'a').length === 1);
    const queued = await begin(client, fixture, 'b', { queue: true });
    const reason = async () => (await show(client, fixture, queued.id)).run.reason;
    await until('it waits', async () => (await reason()).includes('is held by plain_gpu #1'));

    writeFileSync(fixture.hold, '');
    writeFileSync(`${fixture.journal}.a`, '');
    await until('its code is looked at', () => existsSync(fixture.held));
    // Refused until the first run has ended.
    await until('somebody else begins', () => begin(client, other, 'c').catch(() => null));
    rmSync(fixture.hold);
    await until('it waits again', async () => (await reason()).includes('is held by plain_gpu #2'));
    expect([...begins(fixture, 'b'), ...begins(fixture, 'c')]).toEqual(['begin c 0']);

    for (const name of ['b', 'c']) writeFileSync(`${fixture.journal}.${name}`, '');
    await untilStatus(client, fixture, queued.id, 'completed');
  },
);
