/** A store in which an older version has left secrets in clear, and `trainstash scrub`. */
import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { openDatabase } from '../../base/sqlite.ts';
import type { CheckpointBody } from '../../daemon/store/checkpoints/body.ts';
import { rowSum } from '../../daemon/store/objects/objects.ts';
import type { Run } from '../../protocol/domain.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runShow } from '../../protocol/messages/run.ts';
import { type Fixture, kill, makeFixture, openProject, startSmall, untilStatus, untilStep } from '../support/daemon.ts';
import { filesWith } from '../support/folder.ts';
import { Generator } from '../support/generator.ts';

const { mixed } = new Generator(5).tools();

interface Known {
  param: string;
  word: string;
  reason: string;
  gone: string;
}

/** Makes a run with checkpoints and rewrites its records as older versions did. */
async function makeOldStore(): Promise<{ fixture: Fixture; run: Run; known: Known }> {
  const known = { param: mixed(30), word: mixed(12), reason: mixed(20), gone: mixed(20) };
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const started = await startSmall(client, fixture);
  const run = await untilStatus(client, fixture, started.id, 'completed');
  await client.request(daemonStop, {});
  await client.closed;
  writeInClear(fixture, run, known);
  return { fixture, run, known };
}

function writeInClear({ store, folder }: Fixture, run: Run, known: Known): void {
  const clear = (record: Run): Run => ({
    ...record,
    params: { ...record.params, api_key: known.param },
    label: `api_key ${known.param.slice(0, 23)}…`,
    note: `see https://me:${known.word}@host/x`,
    command: { words: ['python', 'x.py', '--token', known.word], cwd: '' },
    reason: `RuntimeError: no login with ${known.param}`,
  });
  const catalog = openDatabase(join(store, 'catalog.db'));
  for (const row of catalog.prepare('SELECT id, body FROM run').all())
    catalog.prepare('UPDATE run SET body = ? WHERE id = ?').run(JSON.stringify(clear(JSON.parse(row.body))), row.id);
  catalog.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  catalog.close();
  copyFileSync(join(store, 'catalog.db'), join(store, 'catalog-v2.db'));
  writeFileSync(join(store, 'catalog-damaged-2024.db'), 'no database');
  const objects = openDatabase(join(store, 'objects.db'));
  for (const row of objects.prepare('SELECT * FROM saved').all()) {
    const body = JSON.parse(row.body) as CheckpointBody;
    const text = JSON.stringify({ ...body, run: clear(body.run) });
    const sum = rowSum({ ...row, body: text } as never);
    objects.prepare('UPDATE saved SET body = ?, sum = ? WHERE seq = ?').run(text, sum, row.seq);
    // A deleted row whose bytes are still in a page in use.
    objects
      .prepare("INSERT INTO saved (id, kind, run, created, body, sum) VALUES (?, 'checkpoint', 'x', 1, ?, ?)")
      .run(`gone${row.seq}`, text.repeat(2), sum);
  }
  objects.exec("DELETE FROM saved WHERE run = 'x'");
  objects.close();
  const session = join(store, 'sessions', run.session!);
  const launch = JSON.parse(readFileSync(join(session, 'launch.json'), 'utf8'));
  writeFileSync(join(session, 'launch.json'), JSON.stringify({ ...launch, params: { api_key: known.param, lr: 0.1 } }));
  const events = readFileSync(join(session, 'events.ndjson'), 'utf8').replace(
    '"params":{',
    `"params":{"api_key":"${known.param}","ü":"\\u00fc",`,
  );
  writeFileSync(join(session, 'events.ndjson'), events);
  appendFileSync(
    join(session, 'output.log'),
    Buffer.from(`\nlogin with ${known.param}\n\xff and ${known.word}\n`, 'latin1'),
  );
  appendFileSync(join(folder, 'state/daemon.log'), `2024-05-01 https://me:${known.reason}@host/x failed\n`);
}

/** Lists the files of the store and of the state directory that contain one of the secrets. */
function leaks({ store, folder }: Fixture, known: Known): string[] {
  return filesWith([store, join(folder, 'state')], Object.values(known))
    .filter((path) => !path.includes('/state/runtime'))
    .map((path) => basename(path));
}

test('scrub lists what older versions wrote in clear, and after a yes nothing of it is on the disk', async () => {
  const { fixture, run, known } = await makeOldStore();
  const before = await shown(fixture, run);
  expect(new Set(leaks(fixture, known))).toEqual(
    new Set(['catalog.db', 'catalog-v2.db', 'objects.db', 'launch.json', 'events.ndjson', 'output.log', 'daemon.log']),
  );

  const listed = await fixture.cli('scrub');
  expect(listed.code).toBe(1);
  expect(listed.stderr).toContain('Nothing was changed');
  const found = JSON.parse((await fixture.cli('scrub', '--json')).stdout);
  expect(found.masked).toBe(false);
  const places = found.findings.map(({ place }: { place: string }) => place).join('\n');
  for (const part of [
    'the catalog: small #1',
    'the copy catalog-v2.db',
    'launch.json',
    'events.ndjson',
    'daemon.log',
    'checkpoint ',
  ])
    expect(places).toContain(part);
  expect(JSON.stringify(found)).toContain(`${known.param.slice(0, 3)}… (30 characters)`);
  for (const secret of [known.param, known.word, known.reason]) expect(JSON.stringify(found)).not.toContain(secret);
  expect(leaks(fixture, known).length).toBeGreaterThan(5);

  const masked = await fixture.cli('scrub', '--yes');
  expect(masked.stdout).toContain('✔ Masked');
  expect(masked.stdout).toContain('catalog-damaged-2024.db cannot be opened');
  expect(masked.code).toBe(0);
  // The output of a script is left alone unless requested.
  expect(leaks(fixture, known)).toEqual(['output.log']);
  expect((await fixture.cli('scrub')).stdout).toContain('✔ No secrets in clear');

  const session = join(fixture.store, 'sessions', run.session!);
  expect(readFileSync(join(session, 'events.ndjson'), 'utf8')).toContain('"api_key":"***","ü":"ü"');
  const after = await shown(fixture, run);
  expect(after.checkpoints).toEqual(before.checkpoints);
  expect(after.run).toMatchObject({
    params: { api_key: '***', learningRate: 0.01 },
    label: 'api_key ***',
    note: 'see https://me:***@host/x',
    command: { words: ['python', 'x.py', '--token', '***'] },
    reason: 'RuntimeError: no login with ***',
  });
  expect((await fixture.cli('fsck')).stdout).toContain('everything is intact');
  expect((await fixture.cli('fsck', '--rebuild')).stdout).toContain('1 run,');
  expect((await shown(fixture, run)).checkpoints).toEqual(before.checkpoints);
});

test('scrub that is killed goes on with what is left', async () => {
  const { fixture, run, known } = await makeOldStore();
  const before = await shown(fixture, run);
  for (const wait of [0, 10, 60]) {
    // The daemon answers first, so that the kill hits the work itself.
    await fixture.cli('ls');
    const pid = fixture.daemonPid();
    const scrub = fixture.cli('scrub', '--yes', '--logs');
    setTimeout(() => kill(pid, 'SIGKILL'), 60 + wait);
    await scrub;
  }
  const last = await fixture.cli('scrub', '--yes', '--logs');
  expect(last.code, last.stdout + last.stderr).toBe(0);
  // The first attempts knew the secrets in the output; the last one no longer does.
  expect(leaks(fixture, known).filter((name) => name !== 'output.log')).toEqual([]);
  expect((await shown(fixture, run)).checkpoints).toEqual(before.checkpoints);
  expect((await fixture.cli('fsck')).stdout).toContain('everything is intact');
});

test('scrub leaves the records of live runs alone, and says so', async () => {
  const { fixture, run, known } = await makeOldStore();
  const client = await openProject(fixture);
  const live = await startSmall(client, fixture, { slow: 200, epochs: 50 });
  await untilStep(client, fixture, live.id, 1);
  const printed = join(fixture.store, 'sessions', run.session!, 'output.log');
  const result = await fixture.cli('scrub', '--yes', '--logs');
  // All bytes stay in their places, including those that are not text.
  expect(readFileSync(printed, 'latin1')).toMatch(/login with \*{3} +\n\xff and \*{3} +\n/);
  expect(result.stdout).toContain('small #2 is live');
  expect(result.code).toBe(1);
  expect(leaks(fixture, known)).toEqual([]);
  expect((await client.request(runShow, { root: fixture.root, run: live.id })).run.status).toBe('running');
  await fixture.cli('stop', '2');
});

async function shown(fixture: Fixture, run: Run) {
  const client = await openProject(fixture);
  try {
    const { run: record, checkpoints } = await client.request(runShow, { root: fixture.root, run: run.id });
    return { run: record, checkpoints };
  } finally {
    client.close();
  }
}
