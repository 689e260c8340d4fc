/** A trainer that prunes its inbox while a daemon takes checkpoints out of it. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { CHECKPOINT_FILE } from '../../protocol/session.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { pruneInbox } from '../../trainer/checkpoints.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE, PYTHON } from '../support/python.ts';
import { makeLaunch } from '../support/trainer.ts';

const ROUNDS = 100;
const FILES = 12;

/** Thread that takes checkpoints one by one at its own pace, as a daemon does. */
const TAKER = `
const { parentPort, workerData: { inbox, taking } } = require('node:worker_threads');
const { readdirSync, renameSync } = require('node:fs');
let over = false;
parentPort.on('message', () => { over = true; });
const look = () => {
  for (const name of readdirSync(inbox).filter((one) => !one.startsWith('.'))) {
    const until = performance.now() + Math.random();
    while (performance.now() < until);
    try { renameSync(inbox + '/' + name, taking + '/' + name); } catch {}
  }
  if (over) process.exit();
  setImmediate(look);
};
look();
`;

function startTaker(directory: SessionDirectory): Worker {
  const workerData = { inbox: directory.file('inbox'), taking: directory.file('taking') };
  const taker = new Worker(TAKER, { eval: true, workerData });
  afterwards(() => void taker.terminate());
  return taker;
}

/** Adds six checkpoints at once, three more than are kept. */
function fillInbox(directory: SessionDirectory, round: number): void {
  for (let i = 0; i < 6; i++) {
    const name = `${String(round * 10 + i).padStart(9, '0')}-${i}`;
    const path = join(directory.path, 'new');
    mkdirSync(path);
    for (let file = 0; file < FILES; file++) writeFileSync(join(path, `part-${file}`), 'x');
    const facts = { step: round * 10 + i, createdAt: i, reasons: ['steps'], metrics: {} };
    writeFileSync(join(path, CHECKPOINT_FILE), JSON.stringify(facts));
    renameSync(path, join(directory.file('inbox'), name));
  }
}

function expectWhole(directory: SessionDirectory): void {
  const taken = readdirSync(directory.file('taking'));
  expect(taken.length).toBeGreaterThan(0);
  const cut = taken.filter((name) => readdirSync(join(directory.file('taking'), name)).length !== FILES + 1);
  expect(cut).toEqual([]);
}

test('a checkpoint is pruned or taken, never half of it', async () => {
  const directory = SessionDirectory.create(temporaryFolder(), makeLaunch());
  const taker = startTaker(directory);
  for (let round = 0; round < ROUNDS; round++) {
    fillInbox(directory, round);
    pruneInbox(directory, { metric: 'loss', mode: 'min' });
  }
  const ended = new Promise((resolve) => taker.once('exit', resolve));
  taker.postMessage('over');
  await ended;
  expectWhole(directory);
});

test.skipIf(!PYTHON)('of a Python script, too', async () => {
  const directory = SessionDirectory.create(temporaryFolder(), makeLaunch());
  const taker = startTaker(directory);
  const program = `
import sys
from trainstash.untaken import prune
for line in sys.stdin:
    prune(sys.argv[1] + "/inbox", None)
    print("pruned", flush=True)
`;
  const python = spawn(PYTHON, ['-c', program, directory.path], {
    env: { ...process.env, PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  afterwards(() => void python.kill());
  for (let round = 0; round < ROUNDS; round++) {
    fillInbox(directory, round);
    const pruned = new Promise((resolve) => python.stdout.once('data', resolve));
    python.stdin.write('prune\n');
    await pruned;
  }
  const ended = new Promise((resolve) => taker.once('exit', resolve));
  taker.postMessage('over');
  await ended;
  expectWhole(directory);
});
