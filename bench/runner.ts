/** Measures a training that runs by itself, from its terminal: how long a print waits while its files are inspected. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, connect } from '../client/connect.ts';
import { OP, protocol, text, tuple } from '../formats/writers/pickle.ts';
import { ZipWriter } from '../formats/writers/zip.ts';
import { daemonStop } from '../protocol/messages/daemon.ts';
import { fileInspect } from '../protocol/messages/file.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import { runShow, runStart } from '../protocol/messages/run.ts';
import type { Build } from '../protocol/version.ts';
import { median, type Result, timed } from './measure.ts';

const TUPLES = 900_000;
const PRINT_MS = 5;
/** Number of windows without and with a file to inspect, in turns: other programs on the machine cause pauses too. */
const ROUNDS = 5;
const QUIET_MS = 4_000;
const WAIT_MS = 120_000;
const LOOKS = 15;

/** Script that prints by its own clock. A terminal accepts output at once. */
const SCRIPT = `
const { copyFileSync, existsSync, mkdirSync, writeFileSync } = require('node:fs');
const gaps = { quiet: [], beside: [] };
let worst = 0;
let last = performance.now();
mkdirSync('checkpoints');
const print = setInterval(() => {
  process.stdout.write('step ' + Math.round(last) + '\\n');
  const now = performance.now();
  worst = Math.max(worst, now - last - ${PRINT_MS});
  last = now;
}, ${PRINT_MS});
const begin = () => { worst = 0; last = performance.now(); };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
(async () => {
  for (let round = 1; round <= ${ROUNDS}; round++) {
    begin();
    await wait(${QUIET_MS});
    gaps.quiet.push(worst);
    copyFileSync('replay.pt', 'checkpoints/model_step' + round + '.pt');
    begin();
    while (!existsSync('stored-' + round)) await wait(20);
    gaps.beside.push(worst);
  }
  clearInterval(print);
  writeFileSync('gaps.tmp', JSON.stringify(gaps));
  require('node:fs').renameSync('gaps.tmp', 'gaps.json');
})();
`;

export async function runnerBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'runner-'));
  const project = join(work, 'project');
  mkdirSync(project);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  writeFileSync(join(project, 'train.cjs'), SCRIPT);
  writeFileSync(join(project, 'replay.pt'), replayBuffer());
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const client = await connect({ name: 'bench', build, dist, env });
  try {
    const looks = await inspections(client, project);
    const { gaps, peak } = await beside(client, project);
    return [
      {
        name: 'runner.stall',
        value: Math.max(0, median(gaps.beside) - median(gaps.quiet)),
        unit: 'ms',
        goal: { atMost: 50 },
        raw: { ours: gaps.beside, theirs: gaps.quiet },
      },
      { name: 'runner.memory', value: peak, unit: 'MiB', goal: { atMost: 150 } },
      ...looks,
    ];
  } finally {
    await client.request(daemonStop, {});
    await client.closed;
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Measures from the first print until each file is a checkpoint. */
async function beside(client: Client, project: string) {
  await client.request(projectOpen, { root: project, trusted: true });
  const run = await client.request(runStart, {
    root: project,
    job: 'command',
    command: [process.execPath, 'train.cjs'],
    cwd: project,
    params: {},
    environment: { PATH: process.env.PATH ?? '' },
  });
  const runner = await found('the runner', () => runnerPid(join(project, '.git/trainstash/sessions')));
  for (let round = 1; round <= ROUNDS; round++) {
    await found('the checkpoint', async () => {
      const { checkpoints } = await client.request(runShow, { root: project, run: run.id });
      return checkpoints.some(({ step }) => step === round);
    });
    writeFileSync(join(project, `stored-${round}`), '');
  }
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${runner}/status`, 'utf8'))![1]) / 1024;
  await found('the script’s clock', () => existsSync(join(project, 'gaps.json')));
  const gaps = JSON.parse(readFileSync(join(project, 'gaps.json'), 'utf8')) as Record<'quiet' | 'beside', number[]>;
  return { gaps, peak };
}

async function inspections(client: Client, project: string): Promise<Result[]> {
  const path = join(project, 'small.pt');
  writeFileSync(path, torchFile(Buffer.concat([protocol(2), OP.emptyDict, OP.stop])));
  const first = await timed(() => client.request(fileInspect, { path }));
  const others: number[] = [];
  for (let i = 0; i < LOOKS; i++) {
    // Rewritten each time: a known file is not inspected twice.
    writeFileSync(path, torchFile(Buffer.concat([protocol(2), OP.emptyDict, OP.stop])));
    others.push(await timed(() => client.request(fileInspect, { path })));
  }
  return [
    { name: 'inspect.first', value: first * 1000, unit: 'ms', goal: {} },
    { name: 'inspect.next', value: median(others) * 1000, unit: 'ms', goal: {}, raw: { ours: others } },
  ];
}

/** Makes an honest file of 28 MB: an agent's observations, one tuple each. */
function replayBuffer(): Buffer {
  const seen = Buffer.concat([
    Buffer.from('J\x10\x27\x00\x00', 'latin1'),
    Buffer.from('G\x3f\xe1\x22\x33\x44\x55\x66\x77', 'latin1'),
    Buffer.from('K\x03G\x3f\xd1\x22\x33\x44\x55\x66\x77', 'latin1'),
    OP.yes,
  ]);
  const tuples = Buffer.concat([OP.mark, seen, OP.tuple]);
  const list = Buffer.concat([Buffer.from(']('), Buffer.alloc(tuples.length * TUPLES, tuples), Buffer.from('e')]);
  return torchFile(
    Buffer.concat([
      protocol(2),
      OP.emptyDict,
      OP.mark,
      text('buffer'),
      list,
      text('optimizer'),
      tuple([OP.none]),
      OP.setItems,
      OP.stop,
    ]),
  );
}

function torchFile(pickle: Buffer): Buffer {
  const parts: Buffer[] = [];
  let position = 0;
  const out = {
    get position() {
      return position;
    },
    write(bytes: Uint8Array) {
      parts.push(Buffer.from(bytes));
      position += bytes.length;
    },
    patch(offset: number, bytes: Uint8Array) {
      const whole = Buffer.concat(parts.splice(0));
      whole.set(bytes, offset);
      parts.push(whole);
    },
  };
  const zip = new ZipWriter(out, 64);
  zip.add('archive/data.pkl', pickle.length, [pickle]);
  zip.finish();
  return Buffer.concat(parts);
}

function runnerPid(sessions: string): number | null {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (words.some((word) => word.endsWith('runner.js')) && words.some((word) => word.startsWith(sessions)))
        return Number(name);
    } catch {
      // The process has ended already.
    }
  }
  return null;
}

async function found<T>(what: string, look: () => T | Promise<T>): Promise<NonNullable<T>> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = await look();
    if (value) return value as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(50);
  }
}
