/** Notebooks that programs run, with the daemon: how their runs are called, and what may be done with them. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { runList, runPause, runResume } from '../../protocol/messages/run.ts';
import { frameworkPython } from '../../scripts/python-environments.ts';
import { environment } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject } from '../support/daemon.ts';
import { environmentsMade } from '../support/environments-made.ts';
import { until } from '../support/folder.ts';
import { PACKAGE } from '../support/python.ts';

await environmentsMade();
const { python } = frameworkPython('notebooks', false);

const TRAIN = [
  'import random, trainstash, os, time\nN = 4',
  'r = random.Random(1)\nrun = trainstash.init(rng=r, resume="last")\nprint("FROM", run.steps)',
  `for epoch in run.epochs(N):
    for i in run.batches(range(5)):
        run.step(loss=r.random())
        # A look at the file: a request that the script reads is not read again.
        while run.steps == 7 and os.environ.get("HOLD") and not os.path.exists(run._engine.session.file("control")): time.sleep(0.05)`,
];

function writeNotebook(path: string, cells: readonly string[]): void {
  mkdirSync(dirname(path), { recursive: true });
  const content = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: 'python3', display_name: 'Python 3' }, language_info: { name: 'python' } },
    cells: cells.map((source, index) => ({
      id: `c${index}`,
      cell_type: 'code',
      metadata: index === 0 ? { tags: ['parameters'] } : {},
      source,
      outputs: [],
      execution_count: null,
    })),
  };
  writeFileSync(path, JSON.stringify(content));
}

function execute(fixture: Fixture, words: string[], extra: Record<string, string> = {}) {
  const env = { ...environment(), PYTHONPATH: PACKAGE, PATH: `${dirname(python!)}:${process.env.PATH}`, ...extra };
  const child = spawn(python!, words, { cwd: fixture.root, env });
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { child, ended: ended.then(([out, error, [code]]) => ({ out, error, code: code as number })) };
}

describe.skipIf(!python)('a notebook', () => {
  test('that papermill, nbconvert or nbclient runs gives its name to the run; another folder has its own', async () => {
    const fixture = makeFixture({ config: { jobs: {} } });
    const client = await openProject(fixture);
    const runs = async () => (await client.request(runList, { root: fixture.root, drafts: true })).runs;
    writeNotebook(join(fixture.root, 'a', 'train.ipynb'), TRAIN);
    writeNotebook(join(fixture.root, 'b', 'train.ipynb'), TRAIN);
    const papermill = await execute(fixture, ['-m', 'papermill', 'a/train.ipynb', 'out.ipynb', '-p', 'N', '1']).ended;
    expect(papermill).toMatchObject({ code: 0 });
    await until('it is over', async () => (await runs())[0]?.status === 'completed');
    expect((await runs())[0]).toMatchObject({ name: 'train #1', job: 'train', step: 5 });
    // The same name in another folder is another notebook: there is no checkpoint of it.
    const other = await execute(fixture, ['-m', 'jupyter', 'execute', 'b/train.ipynb', '--inplace']).ended;
    expect(other).toMatchObject({ code: 0 });
    await until('it is listed', async () => (await runs())[0]?.status === 'completed' && (await runs()).length === 2);
    const byItself = `import nbformat, nbclient
nb = nbformat.read('a/train.ipynb', 4)
nbclient.NotebookClient(nb, resources={'metadata': {'path': 'a'}}).execute()
print(nb.cells[1].outputs)`;
    const named = await execute(fixture, ['-c', byItself]).ended;
    expect(named.out).toContain('FROM 5');
    await until('it is listed', async () => (await runs()).length === 3 && (await runs())[0]!.status === 'completed');
    expect((await runs()).map(({ job, step }) => [job, step])).toEqual([
      ['train', 20],
      ['train', 20],
      ['train', 5],
    ]);
    const [newest] = await runs();
    const resume = client.request(runResume, {
      root: fixture.root,
      run: newest!.id,
      environment: environment(),
      accept: false,
    });
    await expect(resume).rejects.toMatchObject({ code: 'notebookGoesOn' });
  });

  test('is paused by the daemon, and its kernel goes on with the same run', async () => {
    const fixture = makeFixture({ config: { jobs: {} } });
    const client = await openProject(fixture);
    const [first, init, loop] = TRAIN as [string, string, string];
    const again = `try:
    exec(compile(LOOP, "<cell loop>", "exec"))
except KeyboardInterrupt as error: print("ERROR", error)`;
    writeNotebook(join(fixture.root, 'train.ipynb'), [`${first}\nLOOP = ${JSON.stringify(loop)}`, init, again, loop]);
    const { ended } = execute(fixture, ['-m', 'jupyter', 'execute', 'train.ipynb', '--inplace'], { HOLD: '1' });
    const runs = async () => (await client.request(runList, { root: fixture.root, drafts: true })).runs;
    await until('it trains', async () => (await runs())[0]?.step === 7);
    await client.request(runPause, { root: fixture.root, run: (await runs())[0]!.id });
    expect(await ended).toMatchObject({ code: 0 });
    const run = await until('its second session is over', async () =>
      (await runs()).find(({ status, sessions }) => status === 'completed' && sessions === 2),
    );
    expect(run).toMatchObject({ name: 'train #1', step: 20 });
    expect(await runs()).toHaveLength(1);
  });
});
