/** Contents that a life finds in its place: earlier ones in their order whatever their nodes' clocks said, and whole checkpoints only. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Allocation } from '../../../../protocol/allocation.ts';
import { randomId } from '../../../../protocol/ids.ts';
import { CHECKPOINT_FILE } from '../../../../protocol/session.ts';
import type { Task } from '../../../../protocol/task.ts';
import { beginLife, livesIn, livesUsed, resumeOf, sessionOfLife } from '../../../../runner/node/lives.ts';
import type { SessionDirectory } from '../../../../session/directory.ts';
import { temporaryFolder } from '../../../support/folder.ts';
import { makeLaunch } from '../../../support/trainer.ts';

const HOUR_MS = 3_600_000;

function taskOf(): Task {
  const launch = makeLaunch({ run: randomId() });
  const whole = { format: 1 as const, run: launch.run!, launch, graceSeconds: 10, lives: 20, packages: './python' };
  return { ...whole, nodes: 1, launcher: 'plain' };
}

/** Writes a checkpoint of a life, as by a node with a clock of its own; `there` are the bytes that its file has. */
function save(directory: SessionDirectory, step: number, createdAt: number, there = 4): void {
  const folder = join(directory.file('inbox'), `step-${step}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'state.pt'), 'x'.repeat(there));
  const facts = {
    format: 1,
    id: randomId(),
    session: directory.id,
    step,
    epoch: 0,
    batch: 0,
    createdAt,
    reasons: ['signal'],
  };
  const rest = { grade: 'complete', missing: [], parent: null, metrics: {}, environment: {}, data: null };
  writeFileSync(
    join(folder, CHECKPOINT_FILE),
    JSON.stringify({ ...facts, ...rest, files: [{ name: 'state.pt', bytes: 4 }] }),
  );
}

describe('the lives in a place', () => {
  test('follow each other by their numbers, though the clock of a node is hours off', () => {
    const place = temporaryFolder();
    const task = taskOf();
    const now = Date.now();
    const first = beginLife(place, task, null);
    save(first, 10, now + 5 * HOUR_MS);
    const second = beginLife(place, task, null);
    expect(second.launch()).toMatchObject({ life: 2, resume: { step: 10 } });
    // Its node is behind, and it went back to an earlier step, as after a rollback.
    save(second, 12, now - 5 * HOUR_MS);
    expect(livesIn(place).map(({ launch }) => launch.life)).toEqual([1, 2]);
    expect(resumeOf(task, livesIn(place))).toMatchObject({ step: 12, session: second.id });
  });

  test('a checkpoint that a dead node or a full disk has cut off is none', () => {
    const place = temporaryFolder();
    const task = taskOf();
    const first = beginLife(place, task, null);
    save(first, 10, 1);
    save(first, 20, 2, 3);
    mkdirSync(join(first.file('inbox'), 'step-30'));
    expect(resumeOf(task, livesIn(place))).toMatchObject({ step: 10 });
    rmSync(join(first.file('inbox'), 'step-10', 'state.pt'));
    expect(resumeOf(task, livesIn(place))).toBeNull();
  });

  test('are told to the other nodes, also to one that waits already', async () => {
    const place = temporaryFolder();
    const allocation = { kind: 'slurm', job: '7', node: 'a', restart: 0 } as unknown as Allocation;
    const waiting = sessionOfLife(place, allocation);
    const { id } = beginLife(place, taskOf(), allocation);
    expect((await waiting)?.id).toBe(id);
    expect((await sessionOfLife(place, allocation))?.id).toBe(id);
  });

  test('count once with a new step, and twice without', () => {
    const place = temporaryFolder();
    const task = taskOf();
    save(beginLife(place, task, null), 10, 1);
    expect(livesUsed(livesIn(place))).toBe(1);
    // It has saved again what it began with.
    save(beginLife(place, task, null), 10, 2);
    beginLife(place, task, null);
    expect(livesUsed(livesIn(place))).toBe(5);
  });
});
