/** Searches the disk, as a stranger would, after runs that were given secrets; checks that the runs still receive them. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { jobKeep, projectJobs } from '../../protocol/messages/project.ts';
import { runFork, runList, runResume, runShow } from '../../protocol/messages/run.ts';
import { start, startJob } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject, SMALL_JOB, shellEnvironment, untilStatus } from '../support/daemon.ts';
import { filesWith, until } from '../support/folder.ts';
import { Generator } from '../support/generator.ts';

const { mixed, hex } = new Generator(11).tools();
const SCRIPT = `
import json, os, sys
with open(os.environ["SEEN"], "a") as file:
    file.write(json.dumps({"words": sys.argv[1:], "env": dict(os.environ)}) + "\\n")
if "--fail" in sys.argv:
    raise RuntimeError("cannot connect to postgres://me:" + os.environ["REASON"] + "@host/x")
`;

function secrets() {
  return {
    job: mixed(20),
    variable: mixed(20),
    param: mixed(20),
    word: mixed(20),
    url: mixed(20),
    wandb: hex(40),
    reason: mixed(20),
    note: mixed(20),
    hand: mixed(20),
    own: mixed(20),
  };
}

function makeSecretFixture(
  known: ReturnType<typeof secrets>,
): Fixture & { seen(): { words: string[]; env: Record<string, string> }[] } {
  const job = {
    run: 'python3 script.py',
    params: { lr: 0.1, api_key: known.job },
    env: { WANDB_API_KEY: known.variable },
  };
  const fixture = makeFixture({ config: { jobs: { small: SMALL_JOB, secret: job } } });
  writeFileSync(join(fixture.root, 'script.py'), SCRIPT);
  const seen = join(fixture.folder, 'seen');
  fixture.env.SEEN = seen;
  writeFileSync(seen, '');
  return {
    ...fixture,
    seen: () =>
      readFileSync(seen, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

test('no secret of a command, a param, a variable, a reason or a note is on the disk, and each arrives', async () => {
  const known = secrets();
  const fixture = makeSecretFixture(known);
  const environment = { ...shellEnvironment(), SEEN: fixture.env.SEEN! };
  const client = await openProject(fixture);

  const ofJob = await startJobWith('secret', { db_password: known.param });
  const words = ['python3', 'script.py', '--token', known.word, `--db=postgres://me:${known.url}@host/x`, known.wandb];
  const ofCommand = await start(client, fixture, words, { environment });
  await untilStatus(client, fixture, ofCommand.id, 'completed');
  const failing = await start(client, fixture, ['python3', 'script.py', '--fail', `--password=${known.note}`], {
    environment: { ...environment, REASON: known.reason },
  });
  await until('it has failed', async () => (await status(failing.id)) === 'failed');
  expect((await fixture.cli('rename', String(ofJob.number), '--note', `token=${known.note}`)).code).toBe(0);

  const [first, second] = fixture.seen();
  expect(first!.words).toEqual(['--lr', '0.1', '--api_key', known.job, '--db_password', known.param]);
  expect(first!.env.WANDB_API_KEY).toBe(known.variable);
  expect(second!.words).toEqual(words.slice(2));
  const shown = JSON.stringify(await client.request(runList, { root: fixture.root, drafts: true }));
  expect(shown).toContain('postgres://me:***@host/x');
  expect(shown + JSON.stringify(await client.request(projectJobs, { root: fixture.root }))).not.toMatch(anyOf(known));

  // Values for a resume are known while this daemon lives.
  const again = await client.request(runResume, { root: fixture.root, run: ofJob.id, accept: true, environment });
  await untilStatus(client, fixture, again.id, 'completed');
  expect(fixture.seen().at(-1)!.words).toEqual(first!.words);

  await client.request(daemonStop, {});
  await client.closed;
  expect(leaks(fixture, known)).toEqual([]);

  // After that the job's own values are read again, and a person has to supply the others again.
  const next = await openProject(fixture);
  await expect(
    next.request(runResume, { root: fixture.root, run: ofJob.id, accept: true, environment }),
  ).rejects.toMatchObject({
    code: 'commandNotKept',
    message: expect.stringContaining('--set db_password=…'),
  });
  const set = { db_password: known.own };
  const resumed = await next.request(runResume, { root: fixture.root, run: ofJob.id, accept: true, environment, set });
  await untilStatus(next, fixture, resumed.id, 'completed');
  const last = fixture.seen().at(-1)!.words;
  expect(last).toEqual(['--lr', '0.1', '--api_key', known.job, '--db_password', known.own]);
  await expect(next.request(jobKeep, { root: fixture.root, run: ofCommand.id, name: 'x' })).rejects.toMatchObject({
    code: 'commandNotKept',
  });
  await next.request(daemonStop, {});
  await next.closed;
  expect(leaks(fixture, known)).toEqual([]);

  async function startJobWith(name: string, params: object) {
    const run = await startJob(client, { ...fixture }, name, params, { environment });
    return untilStatus(client, fixture, run.id, 'completed');
  }
  async function status(run: string) {
    return (await client.request(runShow, { root: fixture.root, run })).run.status;
  }
});

test('a TensorFlow.js training gets the secret params that its records mask, also in a fork', async () => {
  const known = secrets();
  const fixture = makeFixture();
  const module = readFileSync(join(fixture.root, 'small.ts'), 'utf8');
  const seen = join(fixture.folder, 'seen');
  const writes = `appendFileSync(${JSON.stringify(seen)}, params.api_key + '\\n');`;
  writeFileSync(
    join(fixture.root, 'small.ts'),
    module
      .replace('import { existsSync', 'import { appendFileSync, existsSync')
      .replace('params: {', "params: {\n    api_key: 'its own',")
      .replace('data({ params, tf }) {', `data({ params, tf }) { ${writes}`),
  );
  const client = await openProject(fixture);
  const run = await startJob(client, fixture, 'small', { api_key: known.param });
  await untilStatus(client, fixture, run.id, 'completed');
  const fork = await client.request(runFork, {
    root: fixture.root,
    run: run.id,
    accept: true,
    environment: shellEnvironment(),
  });
  const forked = await untilStatus(client, fixture, fork.id, 'completed');
  expect(forked.params).toMatchObject({ api_key: '***' });
  expect(readFileSync(seen, 'utf8')).toBe(`${known.param}\n${known.param}\n`);
  await client.request(daemonStop, {});
  await client.closed;
  expect(leaks(fixture, known)).toEqual([]);
});

test('a script that was started by hand writes none of its secrets', async () => {
  const known = secrets();
  const fixture = makeSecretFixture(known);
  writeFileSync(
    join(fixture.root, 'hand.py'),
    `import sys, trainstash\ntrainstash.init(params={"api_key": sys.argv[2], "lr": 0.1, "urls": ["https://me:" + sys.argv[2] + "@h"]})\n`,
  );
  const packages = join(import.meta.dirname, '../../python/src');
  const words = ['hand.py', '--wandb-key', known.own, '--db', `postgres://me:${known.hand}@h/x`, known.wandb];
  const done = spawnSync('python3', words, {
    cwd: fixture.root,
    env: { ...fixture.env, PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' },
    encoding: 'utf8',
  });
  expect(done.status, done.stderr).toBe(0);
  expect(leaks(fixture, known)).toEqual([]);
  const client = await openProject(fixture);
  const { runs } = await client.request(runList, { root: fixture.root, drafts: true });
  expect(runs[0]!.params).toEqual({ api_key: '***', lr: 0.1, urls: ['https://me:***@h'] });
  expect(runs[0]!.command!.words.slice(2)).toEqual(['--wandb-key', '***', '--db', 'postgres://me:***@h/x', '***']);
});

function anyOf(known: ReturnType<typeof secrets>): RegExp {
  return new RegExp(Object.values(known).join('|'));
}

/** Lists the files of the store and of the state directory that contain one of the secrets. */
function leaks({ store, folder }: Fixture, known: ReturnType<typeof secrets>): string[] {
  return (
    filesWith([store, join(folder, 'state')], Object.values(known))
      // The runtime is a copy of the build. The output of a script is its own: this one prints a reason on purpose.
      .filter((path) => !path.includes('/state/runtime') && !path.endsWith('/output.log'))
  );
}
