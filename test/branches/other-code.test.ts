/**
 * Launches that happen later than they were described: queued runs, restarts after a crash, resumes. A checkpoint is always tied to
 * the code that made it, whatever was done to the tree in between.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { codeRestore } from '../../protocol/messages/diff.ts';
import { runResume, runShow } from '../../protocol/messages/run.ts';
import { environment, log, start } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { gitIn } from '../support/repository.ts';
import { FULL, sample } from '../support/sample.ts';

/** Script that prints which code it is, saves, and ends with the exit code in the file `end` as soon as that exists. */
const script = (label: string) => `
import os, sys, time
print('CODE ${label}', flush=True)
open('m_step_1.pt', 'wb').write(os.urandom(9))
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
sys.exit(int(open(sys.argv[1]).read()))
`;

interface Bench {
  fixture: Fixture;
  client: Client;
  git: ReturnType<typeof gitIn>;
  /** Ends a run with that exit code by writing its file. */
  end(name: string, code: number): void;
  words(name: string): string[];
}

async function bench(): Promise<Bench> {
  const fixture = makeFixture({ config: { jobs: {} } });
  const git = gitIn(fixture.root);
  writeFileSync(join(fixture.root, 'train.py'), script('main'));
  writeFileSync(join(fixture.root, '.gitignore'), '*.pt\n');
  git('add', '-A');
  git('commit', '-qm', 'main');
  git('branch', 'twin');
  git('switch', '-qc', 'idea');
  writeFileSync(join(fixture.root, 'train.py'), script('idea'));
  git('commit', '-qam', 'idea');
  git('switch', '-q', 'main');
  const path = (name: string) => join(fixture.folder, name);
  return {
    fixture,
    git,
    client: await openProject(fixture),
    end: (name, code) => writeFileSync(path(name), String(code)),
    words: (name) => [PYTHON, 'train.py', path(name)],
  };
}

/** Changes to the tree, and what a run that is launched afterwards runs. */
const CHANGES: Record<string, { change(bench: Bench): void; label: string; branch: string | null }> = {
  nothing: { change: () => {}, label: 'main', branch: 'main' },
  'another branch': { change: ({ git }) => void git('switch', '-q', 'idea'), label: 'idea', branch: 'idea' },
  'another branch with the same code': {
    change: ({ git }) => void git('switch', '-q', 'twin'),
    label: 'main',
    branch: 'twin',
  },
  'another commit': { change: ({ git }) => void git('reset', '-q', '--hard', 'idea'), label: 'idea', branch: 'main' },
  'an edit': {
    change: ({ fixture }) => writeFileSync(join(fixture.root, 'train.py'), script('edited')),
    label: 'edited',
    branch: 'main',
  },
  'a detached HEAD': {
    change: ({ git }) => void git('checkout', '-q', '--detach', 'idea'),
    label: 'idea',
    branch: null,
  },
  'a branch that is gone': {
    change: ({ git }) => {
      git('switch', '-qc', 'doomed', 'idea');
      git('checkout', '-q', '--detach');
      git('branch', '-qD', 'doomed');
    },
    label: 'idea',
    branch: null,
  },
};

/** Changes by name: a drawn one, and in the full run all. */
const drawn = (...names: (keyof typeof CHANGES)[]) =>
  sample(FULL ? Object.keys(CHANGES) : names).map((name) => [name, CHANGES[name]!] as const);

/** Restores the initial state. */
function back({ git, fixture }: Bench): void {
  git('checkout', '-q', '-f', '-B', 'main', 'twin');
  for (const name of readdirSync(fixture.root)) if (name.endsWith('.pt')) rmSync(join(fixture.root, name));
}

/** Expects that the checkpoint of the run's newest session is tied to the code that made it. */
async function expectTied(one: Bench, id: string, { label, branch }: { label: string; branch: string | null }) {
  const { fixture, client } = one;
  const { run, checkpoints, sessions } = await client.request(runShow, { root: fixture.root, run: id });
  const printed = (await log(client, fixture, id)).match(/CODE \w+/g)!.at(-1);
  const newest = checkpoints.find(({ session }) => session === run.session)!;
  const target = join(fixture.folder, `code-${newest.id}`);
  await client.request(codeRestore, { root: fixture.root, source: newest.id, directory: target });
  const kept = /CODE \w+/.exec(readFileSync(join(target, 'train.py'), 'utf8'))![0];
  const { identity } = sessions.at(-1)!;
  expect({ printed, kept, branch: identity!.branch }).toEqual({
    printed: `CODE ${label}`,
    kept: `CODE ${label}`,
    branch,
  });
  expect(identity!.commit).toBe(one.git('rev-parse', 'HEAD').trim());
  return { run, identity: identity! };
}

const untilSaved = ({ client, fixture }: Bench, id: string, count = 1) =>
  until('it has saved', async () => (await show(client, fixture, id)).checkpoints.length >= count);

describe.skipIf(!PYTHON)('whatever is done to the tree meanwhile', () => {
  test('a queued run runs what it is recorded with, or waits until that is back', async () => {
    const one = await bench();
    const { client, fixture, git } = one;
    for (const [name, change] of [
      ...drawn('another branch', 'an edit'),
      ...drawn('another branch with the same code', 'nothing'),
    ]) {
      const first = await start(client, fixture, one.words(`${name} first`));
      const queued = await start(client, fixture, one.words(`${name} second`), { queue: true });
      expect(queued).toMatchObject({ status: 'queued', branch: 'main' });
      await untilSaved(one, first.id);
      change.change(one);
      one.end(`${name} first`, 0);
      one.end(`${name} second`, 0);
      const look = async () => (await show(client, fixture, queued.id)).run;
      if (change.label === 'main') {
        await untilStatus(client, fixture, queued.id, 'completed');
        const { run } = await expectTied(one, queued.id, change);
        expect(run).toMatchObject({ branch: change.branch, commit: git('rev-parse', 'HEAD').trim() });
      } else {
        const waiting = await until('it waits', async () => (await look()).waiting?.for === 'code' && look());
        expect(waiting).toMatchObject({ status: 'queued', branch: 'main' });
        expect(waiting.reason).toMatch(/waits for its code: .*changed: train\.py/);
        back(one);
        await untilStatus(client, fixture, queued.id, 'completed');
        await expectTied(one, queued.id, { label: 'main', branch: 'main' });
      }
      back(one);
    }
  });

  test('one that waits for its code is started with another one by a person, and recorded with that', async () => {
    const one = await bench();
    const { client, fixture, git } = one;
    const first = await start(client, fixture, one.words('first'));
    const queued = await start(client, fixture, one.words('second'), { queue: true });
    await untilSaved(one, first.id);
    git('switch', '-q', 'idea');
    one.end('first', 0);
    one.end('second', 0);
    await until('it waits', async () => (await show(client, fixture, queued.id)).run.waiting?.for === 'code');
    expect((await fixture.cli('ls')).stdout).toMatch(/On other branches\n.*\n.*#2 +main +queued +code has changed/);
    const refused = await fixture.cli('resume', '2');
    expect(refused).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('changed since it was queued'),
    });
    expect((await fixture.cli('resume', '2', '--yes')).code).toBe(0);
    const { run } = await expectTied(one, queued.id, { label: 'idea', branch: 'idea' });
    expect(run.branch).toBe('idea');
  });

  test.each([
    ['a restart after a crash', true, drawn('another branch', 'an edit', 'nothing')],
    ['a resume that was accepted', false, drawn('another commit', 'a detached HEAD', 'a branch that is gone')],
  ] as const)('%s has checkpoints of what it runs then', async (_, isCrash, changes) => {
    const one = await bench();
    const { client, fixture } = one;
    for (const [name, change] of changes) {
      const run = await start(client, fixture, one.words(name), { restarts: isCrash ? 1 : 0 });
      await untilSaved(one, run.id);
      change.change(one);
      one.end(name, 1);
      if (!isCrash) {
        await untilStatus(client, fixture, run.id, 'failed');
        const resume = { root: fixture.root, run: run.id, environment: environment(), accept: true };
        await client.request(runResume, resume);
      }
      await until('it is in its second session', async () => (await show(client, fixture, run.id)).run.sessions === 2);
      const { run: ended } = await until('it has ended', async () => {
        const shown = await show(client, fixture, run.id);
        return shown.run.status === 'failed' && shown.checkpoints.length === 2 && shown;
      });
      const { identity } = await expectTied(one, run.id, change);
      // The run stays on its first branch; the changed code is reported.
      expect(ended.branch).toBe('main');
      const said = ended.notices.filter(({ code }) => code === 'codeChanged').map(({ text }) => text);
      const isOther = change.label !== 'main' || identity.branch !== 'main';
      expect([name, said.length]).toEqual([name, isOther ? 1 : 0]);
      if (change.label !== 'main') expect(said[0]).toContain('changed: train.py');
      back(one);
    }
  });
});
