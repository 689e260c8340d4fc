/**
 * `npm run pictures`: takes the README's pictures from the real editor with real trainings. They are the same each time except for
 * times, ids and speeds.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { checkpointTag } from '../../protocol/messages/checkpoint.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runShow, runStart, runStop } from '../../protocol/messages/run.ts';
import { makeDigits } from '../../scripts/digits.ts';
import { runCleanups } from '../support/cleanup.ts';
import { kill, makeFixture, openProject, shellEnvironment, trainerPid, untilStep } from '../support/daemon.ts';
import { editorParts, openEditor } from '../support/editor.ts';
import { until } from '../support/folder.ts';

const TRAINING_MS = 300_000;
const OUT = resolve(import.meta.dirname, '../../docs/pictures');

const parts = await editorParts();
if (!parts) throw new Error('There is no browser, and none can be installed.');
mkdirSync(OUT, { recursive: true });
try {
  const fixture = makeFixture({ git: false });
  const root = join(fixture.folder, 'digits');
  makeDigits(root);
  const project = { ...fixture, root, store: join(root, '.git/trainstash') };
  const client = await openProject(project);
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.org', ...words], { cwd: root });
  const train = async (params: Record<string, number>) =>
    client.request(runStart, { root, job: 'digits', params, seed: 1, environment: shellEnvironment() });
  const ended = (run: string, ...statuses: string[]) =>
    until(
      `${run} is ${statuses.join(' or ')}`,
      async () => {
        const now = (await client.request(runShow, { root, run })).run;
        return statuses.includes(now.status) && now;
      },
      TRAINING_MS,
    );
  const trained = async (params: Record<string, number>) => ended((await train(params)).id, 'completed');

  await trained({ learningRate: 0.001 });
  const second = await trained({ learningRate: 0.01 });
  await client.request(checkpointTag, { root, checkpoint: second.lastCheckpoint!.id, tag: 'baseline' });
  git('switch', '-qc', 'wider');
  const script = join(root, 'train.ts');
  writeFileSync(script, readFileSync(script, 'utf8').replace('filters: 8', 'filters: 12'));
  git('commit', '-qam', 'Twelve filters');
  const wider = await trained({ learningRate: 0.01 });
  git('switch', '-q', 'main');
  const live = await train({ learningRate: 0.003, epochs: 12 });

  const editor = await openEditor(parts, { folder: root, state: fixture.env.TRAINSTASH_STATE! });
  const picture = (name: string) => editor.page.screenshot({ path: join(OUT, `${name}.png`) });
  await editor.showTrainstash();
  await editor.row(/digits #2/).waitFor();
  await editor.row(/digits #2/).click();
  await editor.page.keyboard.press('ArrowRight');
  await editor.row(/#baseline/).waitFor();
  const own = await editor.webview(/Code since then/);
  await own.locator('.chart canvas').first().waitFor();
  await own.getByText('unchanged').waitFor();
  await picture('run');
  await editor.palette('Trainstash: Open the Dashboard');
  const page = await editor.webview(/4 runs/);
  const grid = page.getByRole('grid');
  await untilStep(client, project, live.id, 300);
  await page.getByRole('button', { name: 'Clear' }).click();
  for (const name of [/digits #4/, /digits #3/, /digits #2/]) await grid.getByRole('row', { name }).click();
  await until('all curves are drawn', async () => {
    const labels = await page.locator('.chart').evaluateAll((charts) => charts.map((one) => String(one.ariaLabel)));
    return labels.length > 2 && labels.every((label) => !label.includes('…'));
  });
  await editor.page.mouse.move(5, 5);
  await picture('dashboard');

  // Killed as by a machine that is out of memory, between two checkpoints; one click later the same values are computed again.
  const running = await untilStep(client, project, live.id, 417);
  kill(await trainerPid(project, running), 'SIGKILL');
  await ended(live.id, 'lost');
  await editor.rowAction(editor.row(/digits #4/), 'Resume');
  await until('the status bar says what was proved', async () => /equal/.test(await editor.status.innerText()));
  await editor.palette('Notifications: Clear All Notifications');
  await editor.page.mouse.move(5, 5);
  await picture('resumed');
  await client.request(runStop, { root, run: live.id });
  await ended(live.id, 'stopped', 'completed');

  await grid.getByRole('row', { name: /digits #4/ }).click();
  await page.getByRole('button', { name: 'Compare' }).click();
  const diff = await editor.webview('Params');
  await diff
    .getByText(/tensors changed|only in|shapes/)
    .first()
    .waitFor();
  await picture('diff');
  console.log(`${OUT}: run, dashboard, resumed, diff (${wider.name})`);
  await client.request(daemonStop, {});
} finally {
  await runCleanups();
}
