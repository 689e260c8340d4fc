/** Files that a run writes into the tree without being ignored by git do not count as changed code; a person's edits do. */
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runPreflight, runResume, runStart } from '../../protocol/messages/run.ts';
import { environment, startJob } from '../support/commands.ts';
import { makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { gitIn } from '../support/repository.ts';

const OUTPUTS = [
  'out/checkpoint-10/config.json',
  'out/checkpoint-10/model.bin',
  'out/checkpoint-10/modeling.py',
  'out/hparams.yaml',
  'results/history.json',
  'log.txt',
  'loss.png',
];
const SCRIPT = `
import os, sys, time
if len(sys.argv) == 1:
    for path in ${JSON.stringify(OUTPUTS)}:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        open(path, 'w').write('written by the run')
    while not os.path.exists('.git/go'): time.sleep(0.02)
    os.kill(os.getpid(), 9)
`;

test.skipIf(!PYTHON)(
  'a resume asks about what a person has edited, and not about what the run has written',
  async () => {
    const resume = [PYTHON, 'train.py', '${checkpoint}'];
    const fixture = makeFixture({ config: { jobs: { train: { run: [PYTHON, 'train.py'], resume } } } });
    const write = (path: string, content: string) => {
      mkdirSync(dirname(join(fixture.root, path)), { recursive: true });
      writeFileSync(join(fixture.root, path), content);
    };
    write('train.py', SCRIPT);
    write('lib/loss.py', 'x = 1');
    write('conf/model.yaml', 'depth: 3');
    const git = gitIn(fixture.root);
    git('add', '-A');
    git('commit', '-qm', 'script');
    const client = await openProject(fixture);
    const run = await startJob(client, fixture, 'train');
    await until('it has saved', async () => (await show(client, fixture, run.id)).checkpoints.length > 0);
    const options = { root: fixture.root, run: run.id, environment: environment() };
    const changed = async () => {
      const { differences } = await client.request(runPreflight, options);
      return differences.filter(({ kind }) => kind === 'code').map(({ name }) => name);
    };
    // During the run: tracked or not, code is code, also beside the run's outputs.
    for (const path of [
      'lib/loss.py',
      'conf/model.yaml',
      'new.py',
      'settings.json',
      'out/helper.py',
      'requirements.txt',
    ])
      write(path, 'edited by hand');
    writeFileSync(join(fixture.root, '.git/go'), '');
    await untilStatus(client, fixture, run.id, 'lost');
    expect((await changed()).sort()).toEqual(
      ['conf/model.yaml', 'lib/loss.py', 'new.py', 'out/helper.py', 'requirements.txt', 'settings.json'].sort(),
    );
    git('checkout', '-q', '--', '.');
    git('clean', '-qf', 'new.py', 'settings.json', 'out/helper.py', 'requirements.txt');
    expect(await changed()).toEqual([]);
    // Long after its end, only a person writes there.
    write('log.txt', 'another one');
    const later = Date.now() / 1000 + 3_600;
    utimesSync(join(fixture.root, 'log.txt'), later, later);
    expect(await changed()).toEqual(['log.txt']);
    git('clean', '-qf', 'log.txt');
    await client.request(runResume, { ...options, accept: false });
    await untilStatus(client, fixture, run.id, 'completed');
    expect(readFileSync(join(fixture.root, 'out/hparams.yaml'), 'utf8')).toBe('written by the run');
  },
);

describe.skipIf(!PYTHON)('a queued run', () => {
  test('does not wait for its code because the run before it has written something', async () => {
    const fixture = makeFixture({ config: { jobs: { train: { run: [PYTHON, 'train.py'] } } } });
    writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
    const client = await openProject(fixture);
    const first = await startJob(client, fixture, 'train');
    await until('it has saved', async () => (await show(client, fixture, first.id)).checkpoints.length > 0);
    const queued = await client.request(runStart, {
      root: fixture.root,
      job: 'command',
      command: [PYTHON, 'train.py', 'x'],
      cwd: fixture.root,
      params: {},
      environment: environment(),
      queue: true,
    });
    writeFileSync(join(fixture.root, 'out/late.yaml'), 'x');
    writeFileSync(join(fixture.root, '.git/go'), '');
    await untilStatus(client, fixture, queued.id, 'completed');
  });
});
