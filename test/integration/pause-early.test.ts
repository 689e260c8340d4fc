/** Requests to a script that is still importing modules or loading data. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runPause, runStop } from '../../protocol/messages/run.ts';
import { usesPackage } from '../../runner/package-use.ts';
import { start } from '../support/commands.ts';
import { makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

const THREE_LINES = `
import torch, trainstash
model = torch.nn.Linear(2, 2)
run = trainstash.init(model=model)
for epoch in run.epochs(500):
    run.step(loss=1.0)
    time.sleep(0.05)
`;
const beginning = (rest: string) =>
  `import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)\n${rest}`;

async function begun(rest: string) {
  const fixture = makeFixture({ config: { jobs: {} } });
  writeFileSync(join(fixture.root, 'train.py'), beginning(rest));
  const client = await openProject(fixture);
  const go = join(fixture.folder, 'go');
  const run = await start(client, fixture, [PYTHON, 'train.py', go]);
  await untilStatus(client, fixture, run.id, 'running');
  const pause = () => client.request(runPause, { root: fixture.root, run: run.id });
  return { fixture, client, run, pause, goOn: () => writeFileSync(go, '') };
}

describe.skipIf(!PYTHON)('a pause', () => {
  test('that comes before the package is initialised takes effect at the first step', async () => {
    const { fixture, client, run, pause, goOn } = await begun(THREE_LINES);
    expect(await pause()).toMatchObject({ status: 'pausing', reason: expect.stringContaining('still starting') });
    goOn();
    const paused = await untilStatus(client, fixture, run.id, 'paused');
    expect(paused.lastCheckpoint!.step).toBe(paused.step);
    expect(paused.step).toBeLessThanOrEqual(2);
  });

  test('of a script that turns out to save by itself is withdrawn, and reported', async () => {
    const { fixture, client, run, pause, goOn } = await begun(
      `if not sys.argv:\n    import trainstash\nfor n in range(1, 999): print(f'trainstash step={n} loss=1', flush=True); time.sleep(0.05)`,
    );
    await pause();
    goOn();
    const shown = await until('it is said', async () => {
      const { run: now } = await show(client, fixture, run.id);
      return now.notices.some(({ code }) => code === 'pauseWithdrawn') && now;
    });
    expect(shown.status).toBe('running');
    await expect(pause()).rejects.toMatchObject({ code: 'pauseLoses' });
    const stopping = await client.request(runStop, { root: fixture.root, run: run.id });
    expect(stopping.status).toBe('stopping');
    await untilStatus(client, fixture, run.id, 'stopped');
  });

  test('of a script without the package says at once what it would lose', async () => {
    const { pause } = await begun('time.sleep(100)');
    await expect(pause()).rejects.toMatchObject({ code: 'pauseLoses' });
  });
});

test.each<[string, Record<string, string>, string[], boolean]>([
  ['a script', { 'a.py': 'import torch, trainstash as t\n' }, ['python', '-u', 'a.py'], true],
  [
    'behind a launcher',
    { 's/a.py': 'from trainstash import init\n' },
    ['torchrun', '--nproc', '2', 's/a.py', 'x'],
    true,
  ],
  [
    'a module',
    { 'pkg/__main__.py': 'from . import loop\n', 'pkg/loop.py': 'import trainstash' },
    ['py', '-m', 'pkg'],
    true,
  ],
  [
    'by other modules',
    { 'a.py': 'from lib.x import go', 'lib/x.py': 'import y', 'y.py': '  import trainstash' },
    ['p', 'a.py'],
    true,
  ],
  ['words', {}, ['python', '-c', 'import trainstash'], true],
  ['another name', { 'a.py': 'import trainstash_tools\n# import trainstash\n' }, ['python', 'a.py'], false],
  ['a file of its own', { 'a.py': 'import trainstash', 'trainstash.py': '' }, ['python', 'a.py'], false],
  ['no script at all', {}, ['make', 'train'], false],
])('whether %s uses the package is read from its text', (_, files, words, expected) => {
  const root = temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  expect(usesPackage(words, root)).toBe(expected);
});
