import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Notice } from '../../protocol/domain.ts';
import { checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import {
  type Fixture,
  makeFixture,
  openProject,
  SMALL_JOB,
  shellEnvironment,
  show,
  startHeld,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';

const REHEARSED = { jobs: { small: { ...SMALL_JOB, rehearse: true } } };

async function rehearsal(client: Client, fixture: Fixture, run: string): Promise<Notice> {
  return until('it was rehearsed', async () =>
    (await show(client, fixture, run)).run.notices.find(({ code }) => code === 'rehearsed'),
  );
}

test('a training that is not deterministic is found out before anybody resumes it, and no checkpoint is verified', async () => {
  const fixture = makeFixture({ config: REHEARSED });
  const file = join(fixture.root, 'small.ts');
  writeFileSync(file, readFileSync(file, 'utf8').replace('clipNorm: 1', 'clipNorm: 0.001 + performance.now() / 1e7'));
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture);
  await untilStatus(client, fixture, run.id, 'completed');
  const { level, text } = await rehearsal(client, fixture, run.id);
  expect(level).toBe('warning');
  expect(text).toMatch(/^rehearsed: \d+ steps? from step \d+, different: two replays differ/);
  const grades = (await show(client, fixture, run.id)).checkpoints.map(({ grade }) => grade);
  expect(grades).not.toContain('verified');
});

test('a run whose job asks for it is rehearsed by itself when the device is free, and says so', async () => {
  const fixture = makeFixture({ config: REHEARSED });
  const client = await openProject(fixture);
  const { run: first, release } = await startHeld(client, fixture, 2);
  // The next one takes the device at once.
  const second = await startSmall(client, fixture, {}, { queue: true });
  release();
  await untilStatus(client, fixture, first.id, 'completed');
  await untilStatus(client, fixture, second.id, 'completed');
  for (const { id } of [first, second]) {
    const { level, text, at } = await rehearsal(client, fixture, id);
    expect(level).toBe('info');
    expect(text).toMatch(/^rehearsed: \d+ steps? from step \d+, equal$/);
    const { run, checkpoints } = await show(client, fixture, id);
    expect(at).toBeGreaterThan((await show(client, fixture, second.id)).run.endedAt!);
    expect(checkpoints.map(({ grade }) => grade)).toContain('verified');
    expect(run.status).toBe('completed');
  }
});

test('it is offered after the first run of a job, once, and done only where it was asked for', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const codes = async (run: string) => (await show(client, fixture, run)).run.notices.map(({ code }) => code);
  const first = await startSmall(client, fixture);
  await untilStatus(client, fixture, first.id, 'completed');
  await until('it is offered', async () => (await codes(first.id)).includes('canRehearse'));
  const second = await startSmall(client, fixture);
  await untilStatus(client, fixture, second.id, 'completed');
  expect(await codes(second.id)).not.toContain('canRehearse');
  expect(await codes(first.id)).not.toContain('rehearsed');
});

test('what is offered can be done, whatever retention has removed', async () => {
  const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, keep: { last: 1 } } } } });
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture);
  await untilStatus(client, fixture, run.id, 'completed');
  const { text } = await until('it is offered', async () =>
    (await show(client, fixture, run.id)).run.notices.find(({ code }) => code === 'canRehearse'),
  );
  expect((await show(client, fixture, run.id)).checkpoints).toHaveLength(1);
  const [, checkpoint] = /`trainstash verify ([^`]+)`/.exec(text)!;
  const request = { root: fixture.root, checkpoint: checkpoint!, environment: shellEnvironment() };
  const { proof } = await client.request(checkpointVerify, request);
  expect(proof.verdict).toBe('equal');
});
