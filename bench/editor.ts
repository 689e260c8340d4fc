/** Measures the extension in a real VS Code: activation, drawing, following, and the cost to its host. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../client/connect.ts';
import { daemonStop } from '../protocol/messages/daemon.ts';
import { runUpdate } from '../protocol/messages/run.ts';
import type { Build } from '../protocol/version.ts';
import { runCleanups } from '../test/support/cleanup.ts';
import { type Editor, editorParts, openEditor } from '../test/support/editor.ts';
import { until } from '../test/support/folder.ts';
import { packConstantRows } from './constant-rows.ts';
import { packLoopWatch } from './loop-watch.ts';
import { median, type Result } from './measure.ts';
import { fillCurves, fillRuns } from './projects.ts';

const RUNS = 10_000;
const CURVES = 10;
/** Runs whose curves a fresh dashboard draws by itself: the measured ones are others. */
const DRAWN_AT_ONCE = 5;
const POINTS = 1_000_000;
const ROUNDS = 5;
const UPDATES = 15;
const REST_MS = 700;

export async function editorBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const parts = await editorParts();
  if (!parts) throw new Error('There is no browser, and none can be installed.');
  const work = mkdtempSync(join(folder, 'editor-'));
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const others = [await packLoopWatch(work), await packConstantRows(work)];
  const make = async (name: string, fill: (path: string) => Promise<void>) => {
    const root = join(work, name);
    mkdirSync(root);
    spawnSync('git', ['init', '-q', '-b', 'main', root]);
    writeFileSync(join(root, 'trainstash.json'), '{ "jobs": {} }');
    await fill(join(root, '.git/trainstash'));
    return root;
  };
  try {
    const many = await make('many', (path) => fillRuns(path, dist, RUNS));
    const long = await make('long', (path) => fillCurves(path, dist, CURVES + DRAWN_AT_ONCE, POINTS, CURVES));
    const client = await connect({ name: 'bench', build, dist, env });
    const open = (root: string) => openEditor(parts, { folder: root, state: join(work, 'state'), others });

    const editor = await open(many);
    await editor.showTrainstash();
    await editor.row(new RegExp(`bench #${RUNS}`)).waitFor();
    const activations: Activations[] = [];
    const trees: FirstPaint[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      trees.push(await firstPaint(editor));
      activations.push(await activationsOf(editor));
    }
    const [ours, theirs] = [activations.map((one) => one.ours), activations.map((one) => one.theirs)];
    const from = Date.now();
    const updates: number[] = [];
    for (let i = 0; i < UPDATES; i++) updates.push(await follow(editor, client, many, `renamed ${i}`));
    await editor.palette('Trainstash: Refresh');
    await editor.row(/renamed/).waitFor();
    const block = await longestBlock(many, from);

    const other = await open(long);
    await other.showTrainstash();
    await other
      .row(/curves #/)
      .first()
      .waitFor();
    const runPages: number[] = [];
    for (let i = 0; i < ROUNDS; i++) runPages.push(await openRun(other, CURVES - i));
    await other.palette('Trainstash: Open the Dashboard');
    const dashboard = await paintCurves(other);
    await client.request(daemonStop, {});
    return [
      {
        name: 'editor.activation',
        value: median(ours),
        unit: 'ms',
        goal: { atMost: 30 },
        versus: 'VS Code’s own Merge Conflict, in the same host',
        theirs: median(theirs),
        raw: { ours, theirs },
      },
      {
        name: 'editor.tree',
        value: median(trees.map(({ ours }) => ours)),
        unit: 'ms with 10,000 runs',
        goal: { atMost: 500 },
        versus: 'a tree of 60 constant rows, of an extension without a daemon in the same host',
        theirs: median(trees.map(({ theirs }) => theirs)),
        raw: { ours: trees.map(({ ours }) => ours), theirs: trees.map(({ theirs }) => theirs) },
      },
      { name: 'editor.update', value: median(updates), unit: 'ms', goal: {}, raw: { ours: updates } },
      { name: 'editor.block', value: block, unit: 'ms', goal: { atMost: 20 } },
      {
        name: 'editor.run-page',
        value: median(runPages),
        unit: 'ms for 2M points and 1,000 images',
        goal: { atMost: 1_000 },
        raw: { ours: runPages },
      },
      { name: 'editor.dashboard', value: dashboard, unit: 'ms for 10 × 1M points', goal: { atMost: 1_000 } },
    ];
  } finally {
    await runCleanups();
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface Activations {
  ours: number;
  theirs: number;
}

/** Returns the activation times that VS Code measured. Even a small extension shares the processors of a starting window. */
async function activationsOf(editor: Editor): Promise<Activations> {
  const { page } = editor;
  const of = async (name: string) => {
    const row = page.locator('.runtime-extensions-editor .extension', { hasText: name }).first();
    const text = await row.innerText({ timeout: 5_000 }).catch(() => '');
    return Number(/(\d+)ms/.exec(text)?.[1] ?? 0);
  };
  // The list is drawn once: a later start appears only in the next one.
  return until('VS Code says how long they took', async () => {
    await editor.palette('Developer: Show Running Extensions');
    const both = { ours: await of('Trainstash'), theirs: await of('Merge Conflict') };
    await page.keyboard.press('Control+w');
    return both.ours > 0 && both.theirs > 0 && both;
  });
}

interface FirstPaint {
  ours: number;
  theirs: number;
}

/**
 * Measures a reload from our view's title to its first row, including the extension's start and its connection; and to
 * the first row of a tree that has to ask nobody.
 */
async function firstPaint(editor: Editor): Promise<FirstPaint> {
  await editor.reload();
  await editor.page.locator('.part.sidebar .composite.title', { hasText: /trainstash/i }).waitFor();
  const started = performance.now();
  const until = async (name: RegExp) => {
    await editor.row(name).waitFor();
    return performance.now() - started;
  };
  const [ours, theirs] = await Promise.all([until(/bench #/), until(/constant 1\b/)]);
  return { ours, theirs };
}

/** Measures from the request that changes a run to its row's new text, by the page's own clock. */
async function follow(
  editor: Editor,
  client: Awaited<ReturnType<typeof connect>>,
  root: string,
  name: string,
): Promise<number> {
  const seen = editor.page.evaluate(`new Promise((resolve) => {
    const look = () => document.body.innerText.includes(${JSON.stringify(name)}) && (observer.disconnect(), resolve(Date.now()));
    const observer = new MutationObserver(look);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  })`) as Promise<number>;
  // Changes that follow soon after another are drawn together; this measures a single one.
  await delay(REST_MS);
  const started = Date.now();
  await client.request(runUpdate, { root, run: String(RUNS), name });
  return (await seen) - started;
}

async function longestBlock(root: string, from: number): Promise<number> {
  const file = join(root, 'loop-watch.json');
  const now = Date.now();
  await until('the loop was watched', () => existsSync(file));
  await until('its last blocks are written', async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return Date.now() > now + 600;
  });
  const blocks = JSON.parse(readFileSync(file, 'utf8')) as [number, number][];
  return Math.max(0, ...blocks.filter(([at]) => at >= from).map(([, ms]) => ms));
}

/** Measures from the click on a run's row to the last of its two curves of a million points each and of its ten newest images. */
async function openRun(editor: Editor, number: number): Promise<number> {
  const started = performance.now();
  await editor.row(new RegExp(`curves #${number}\\b`)).click();
  const page = await editor.webview(/Code since then/);
  await until('its curves are drawn', async () => {
    const labels = await page.locator('.chart').evaluateAll((charts) => charts.map((one) => String(one.ariaLabel)));
    return labels.length >= 2 && labels.every((label) => !label.includes('…'));
  });
  await until('the newest image of each name is drawn', () =>
    page.evaluate(`document.querySelectorAll('.medium img').length === 10
      && [...document.querySelectorAll('.medium img')].every((one) => one.naturalWidth > 0)`),
  );
  const took = performance.now() - started;
  await editor.page.keyboard.press('Control+w');
  return took;
}

/** Measures from the click that chooses ten runs, none of them loaded, to the frame with the last of their curves. */
async function paintCurves(editor: Editor): Promise<number> {
  const page = await editor.webview(new RegExp(`${CURVES + DRAWN_AT_ONCE} runs`));
  await page.getByText(`${DRAWN_AT_ONCE} chosen`).waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.locator('.chart').first().waitFor({ state: 'detached' });
  await page
    .getByRole('grid')
    .getByRole('row', { name: /curves #1 / })
    .waitFor();
  return (await page.evaluate(`(async () => {
    const frame = () => new Promise(requestAnimationFrame);
    const rows = [...document.querySelectorAll('[role=grid] tr[id]')];
    const started = performance.now();
    rows[${DRAWN_AT_ONCE}].click();
    await frame();
    rows.at(-1).dispatchEvent(new MouseEvent('click', { shiftKey: true, bubbles: true }));
    const charts = () => [...document.querySelectorAll('.chart')].map((chart) => chart.getAttribute('aria-label'));
    const isWhole = (label) => label.split(', ').length === ${CURVES} && !label.includes('…');
    while (charts().length < 2 || !charts().every(isWhole)) await frame();
    await frame();
    return performance.now() - started;
  })()`)) as number;
}
