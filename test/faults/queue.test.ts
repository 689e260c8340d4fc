/** The queue when its daemon dies, and the reasons for which queued runs wait. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { queueSupply, runPause, runResume, runStart, runStop } from '../../protocol/messages/run.ts';
import { environment, start } from '../support/commands.ts';
import { type Fixture, kill, makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

/** Script that records its start and its end, and ends when its file exists. */
const SCRIPT = `
import os, sys, time
name, journal = sys.argv[1], sys.argv[2]
def note(what): open(journal, 'a').write(f'{what} {name}\\n')
note('begin')
while not os.path.exists(f'{journal}.{name}'): time.sleep(0.02)
note('end')
sys.exit(1 if name.startswith('bad') else 0)
`;

function queueFixture(): Fixture & { journal: string } {
  const fixture = makeFixture({ config: { jobs: {} } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  return { ...fixture, journal: join(fixture.folder, 'journal') };
}

const words = (fixture: { journal: string }, name: string) => [PYTHON, 'train.py', name, fixture.journal];
const end = (fixture: { journal: string }, name: string) => writeFileSync(`${fixture.journal}.${name}`, '');
const noted = ({ journal }: { journal: string }) =>
  existsSync(journal) ? readFileSync(journal, 'utf8').trim().split('\n') : [];

describe.skipIf(!PYTHON)('a queue', () => {
  test('goes on after its daemon has died, in order, one at a time, past one that fails', async () => {
    const fixture = queueFixture();
    const client = await openProject(fixture);
    const names = ['a', 'bad', 'c', 'd'];
    const runs = [];
    for (const name of names) runs.push(await start(client, fixture, words(fixture, name), { queue: true }));
    await until('the first has begun', () => noted(fixture).includes('begin a'));
    kill(fixture.daemonPid(), 'SIGKILL');
    await client.closed;
    for (const name of names) end(fixture, name);
    // Only this command runs; it starts a daemon from another shell that has all variables.
    const next = await fixture.connect();
    const ids = runs.map(({ id }) => id);
    await until('all have ended', async () => {
      const all = await Promise.all(ids.map((id) => show(next, fixture, id)));
      return all.every(({ run }) => ['completed', 'failed'].includes(run.status));
    });
    expect(noted(fixture)).toEqual(names.flatMap((name) => [`begin ${name}`, `end ${name}`]));
    const statuses = await Promise.all(ids.map(async (id) => (await show(next, fixture, id)).run.status));
    expect(statuses).toEqual(['completed', 'failed', 'completed', 'completed']);
    expect(readdirSync(join(fixture.store, 'queue'))).toEqual([]);
  });

  test('takes a crashed run whose delay was lost with the daemon, and restarts it no more often than asked', async () => {
    const fixture = queueFixture();
    const client = await openProject(fixture);
    end(fixture, 'bad');
    const { id } = await start(client, fixture, words(fixture, 'bad'), { restarts: 1 });
    // The restart is due after a second.
    await untilStatus(client, fixture, id, 'failed');
    kill(fixture.daemonPid(), 'SIGKILL');
    await client.closed;
    expect(noted(fixture)).toEqual(['begin bad', 'end bad']);
    const next = await fixture.connect();
    await until('it has run again', () => noted(fixture).length === 4);
    await untilStatus(next, fixture, id, 'failed');
    expect(readdirSync(join(fixture.store, 'queue'))).toEqual([]);
    expect((await show(next, fixture, id)).run).toMatchObject({ sessions: 2, restart: { max: 1, used: 1 } });
  });

  test('waits for its job, too: one that is gone from the file may come back', async () => {
    const fixture = queueFixture();
    const config = join(fixture.root, 'trainstash.json');
    const jobs = JSON.stringify({ jobs: { train: { run: words(fixture, 'b') } } });
    writeFileSync(config, jobs);
    const client = await openProject(fixture);
    await start(client, fixture, words(fixture, 'a'));
    const queued = await client.request(runStart, {
      root: fixture.root,
      job: 'train',
      params: {},
      environment: environment(),
      queue: true,
    });
    writeFileSync(config, '{ "jobs": {} }');
    for (const name of ['a', 'b']) end(fixture, name);
    await until('it waits', async () => (await show(client, fixture, queued.id)).run.waiting?.for === 'code');
    writeFileSync(config, jobs);
    await untilStatus(client, fixture, queued.id, 'completed');
  });

  test('says what each waits for; one that is paused stays in sight, one that is dropped makes way', async () => {
    const fixture = queueFixture();
    const client = await openProject(fixture);
    const first = await start(client, fixture, words(fixture, 'a'));
    const [second, third, fourth] = [
      await start(client, fixture, words(fixture, 'b'), { queue: true }),
      await start(client, fixture, words(fixture, 'c'), { queue: true }),
      await start(client, fixture, words(fixture, 'd'), { queue: true }),
    ];
    const behind = async (id: string) => (await show(client, fixture, id)).run.waiting?.behind;
    await until('each knows its place', async () => (await behind(fourth.id)) === third.number);
    expect([await behind(second.id), await behind(third.id)]).toEqual([first.number, second.number]);
    expect((await fixture.cli('ls')).stdout).toMatch(/#4 +queued +behind #3[\s\S]*#2 +queued +behind #1/);
    await client.request(runPause, { root: fixture.root, run: third.id });
    await client.request(runStop, { root: fixture.root, run: second.id });
    await until('it has moved up', async () => (await behind(fourth.id)) === first.number);
    const listed = (await fixture.cli('ls')).stdout;
    expect(listed).toMatch(/#3 +paused/);
    expect(listed).not.toContain('#2');
    // The run is at the end of the queue again.
    const again = await fixture.cli('resume', '3', '--queue');
    expect(again.stdout).toContain('Queued train #3.');
    for (const name of ['a', 'c', 'd']) end(fixture, name);
    await untilStatus(client, fixture, third.id, 'completed');
    expect(noted(fixture).filter((line) => line.startsWith('begin'))).toEqual(['begin a', 'begin d', 'begin c']);
  });

  test('asks for a variable, and for a word that looks like a secret, when the daemon that knew them is gone', async () => {
    const fixture = queueFixture();
    const client = await openProject(fixture);
    await start(client, fixture, words(fixture, 'a'));
    const withVariable = { queue: true, environment: { ...environment(), HF_TOKEN: 'not-to-be-kept-anywhere' } };
    const needs = await start(client, fixture, words(fixture, 'b'), withVariable);
    const secret = [...words(fixture, 'c'), '--api-key', 'not-to-be-kept-either'];
    const masked = await start(client, fixture, secret, { queue: true });
    const ready = await start(client, fixture, words(fixture, 'd'), { queue: true });
    const written = readdirSync(join(fixture.store, 'queue')).map((name) =>
      readFileSync(join(fixture.store, 'queue', name), 'utf8'),
    );
    expect(written.join()).toContain('HF_TOKEN');
    expect(written.join()).not.toMatch(/not-to-be-kept/);
    kill(fixture.daemonPid(), 'SIGKILL');
    await client.closed;
    for (const name of ['a', 'b', 'c', 'd']) end(fixture, name);
    const next = await openProject(fixture);
    // A run that is ready overtakes those that wait for a person.
    await untilStatus(next, fixture, ready.id, 'completed');
    const { run: waits } = await show(next, fixture, needs.id);
    expect(waits).toMatchObject({ status: 'queued', waiting: { for: 'environment' } });
    expect(waits.reason).toContain('HF_TOKEN is not set here');
    expect((await show(next, fixture, masked.id)).run.reason).toContain('`trainstash resume 3 -- COMMAND`');
    // Any command from a shell that has the variable is enough.
    await next.request(queueSupply, { root: fixture.root, environment: withVariable.environment });
    await untilStatus(next, fixture, needs.id, 'completed');
    const options = { root: fixture.root, run: masked.id, environment: environment(), command: secret, accept: true };
    await next.request(runResume, options);
    await untilStatus(next, fixture, masked.id, 'completed');
  });
});
