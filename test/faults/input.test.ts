/** Bad input gets a typed error that says what to do, and changes nothing. */

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { backendSurvey } from '../../protocol/messages/backend.ts';
import { branchFollow, branchSync } from '../../protocol/messages/branch.ts';
import { daemonState, daemonStatus, daemonStop } from '../../protocol/messages/daemon.ts';
import { projectOpen, storesFolder } from '../../protocol/messages/project.ts';
import { runList, runShow, runUpdate } from '../../protocol/messages/run.ts';
import { Random } from '../../trainer/random.ts';
import {
  BUILD,
  type Fixture,
  makeFixture,
  openProject,
  SMALL_JOB,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { FULL, sample } from '../support/sample.ts';
import { shareFixture } from '../support/shared-fixture.ts';

async function noRuns(fixture: Fixture): Promise<void> {
  const { stdout } = await fixture.cli('ls', '--drafts', '--json');
  expect(JSON.parse(stdout)).toEqual([]);
}

describe('trainstash.json', () => {
  const shared = shareFixture();
  const broken: [string, string, RegExp][] = [
    [
      'is not JSON',
      '{\n  "jobs": {\n    "small": { "module": "small.ts", }}\n}}',
      /trainstash\.json:4:2: it is not valid JSON/,
    ],
    ['is a list', '[]', /must be an object/],
    [
      'has a job without a module',
      '{\n  "jobs": {\n    "small": {}\n  }\n}',
      /trainstash\.json:3:14: the job "small" needs either "run" .* or "module"/,
    ],
    [
      'has a nested key that is mistyped',
      '{"jobs": {"small": {"module": "small.ts", "checkpoint": {"evry": "5m"}}}}',
      /unknown key "checkpoint\.evry"; did you mean "every"/,
    ],
    [
      'has an interval that cannot be read',
      '{"jobs": {"small": {"module": "small.ts", "checkpoint": {"every": "often"}}}}',
      /checkpoint\.every/,
    ],
    ['has a command with an open quote', '{"jobs": {"small": "python \'train.py"}}', /unclosed quote/],
    [
      'has a job with a module and a command',
      '{"jobs": {"small": {"module": "small.ts", "run": "python train.py"}}}',
      /either "run" .* or "module"/,
    ],
    ['has a job that is a number', '{"jobs": {"small": 3}}', /must be a command or an object/],
  ];
  for (const [name, text, message] of sample(broken, 3)) {
    test(`${name}: refused with file, line and reason`, async () => {
      const { fixture } = shared;
      writeFileSync(join(fixture.root, 'trainstash.json'), text);
      const result = await fixture.cli('run', 'small', '-d', '--json');
      expect(result.code).toBe(1);
      const { error } = JSON.parse(result.stdout);
      expect(error).toMatchObject({ code: 'configInvalid', message: expect.stringMatching(message) });
      expect(error.data).toMatchObject({ file: join(fixture.root, 'trainstash.json'), line: expect.any(Number) });
      await noRuns(fixture);
    });
  }

  test('an unknown key is a warning with the nearest known one, and the job runs', async () => {
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, parms: {} } }, jbos: {} } });
    const result = await fixture.cli('run', 'small', '-d');
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/unknown key "parms".*did you mean "params"/);
    expect(result.stderr).toMatch(/unknown key "jbos".*did you mean "jobs"/);
  });
});

describe('what was asked for', () => {
  const shared = shareFixture();
  const cases: [string, string[], string, RegExp][] = [
    ['an unknown job', ['run', 'smal'], 'jobUnknown', /did you mean "small"/],
    ['an unknown param', ['run', 'small', '-p', 'learningrate=1'], 'paramUnknown', /did you mean "learningRate"/],
    ['a param of another type', ['run', 'small', '-p', 'epochs=many'], 'paramInvalid', /"epochs" must be a number/],
    [
      'an unknown backend',
      ['run', 'small', '--backend', 'cuda'],
      'paramInvalid',
      /Known: auto, webgpu, tensorflow, tfjs-node-gpu, tfjs-node, wasm, cpu/,
    ],
    ['a run that is not there', ['show', '77'], 'notFound', /trainstash ls --all/],
    ['nothing to resume', ['resume'], 'notFound', /nothing to resume/],
    ['a checkpoint that is not there', ['tag', 'nosuchcheckpoint', 'x'], 'notFound', /no checkpoint/],
  ];
  for (const [name, args, code, message] of sample(cases, 4)) {
    test(`${name}: refused, nothing is left behind`, async () => {
      const { fixture } = shared;
      const result = await fixture.cli(...args, '--json');
      expect(result.code).toBe(1);
      expect(JSON.parse(result.stdout).error).toMatchObject({ code, message: expect.stringMatching(message) });
      await noRuns(fixture);
    });
  }

  test('a mistyped command or option says which was meant, with exit code 2', async () => {
    const fixture = makeFixture();
    expect(await fixture.cli('resmue')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean "resume"'),
    });
    expect(await fixture.cli('ls', '--al')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean --all'),
    });
    expect(await fixture.cli('run')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Name a job'),
    });
  });

  test('an id that fits several runs lists them', async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const first = await startSmall(client, fixture);
    await untilStatus(client, fixture, first.id, 'completed');
    await client.request(daemonStop, {});
    await client.closed;
    const { openDatabase } = await import('../../base/sqlite.ts');
    const catalog = openDatabase(join(fixture.store, 'catalog.db'));
    const twin = JSON.stringify({ ...first, id: `${first.id.slice(0, 6)}zzzzzz`, number: 2, status: 'completed' });
    catalog
      .prepare(
        "INSERT INTO run (id, number, job, branch, status, draft, trashed, created, body) VALUES (?, 2, 'small', 'main', 'completed', 0, NULL, 1, ?)",
      )
      .run(`${first.id.slice(0, 6)}zzzzzz`, twin);
    catalog.close();
    const result = await fixture.cli('show', first.id.slice(0, 6), '--json');
    expect(JSON.parse(result.stdout).error).toMatchObject({
      code: 'ambiguous',
      data: { matches: [expect.any(String), expect.any(String)] },
    });
  });
});

describe('a module that does not load', () => {
  const shared = shareFixture({ config: { jobs: { small: { module: 'train.ts' } } } });
  const modules: [string, string, RegExp][] = [
    ['uses an enum', 'enum Mode { A }\nexport default { mode: Mode.A };', /an `enum`/],
    [
      'imports without the ending .ts',
      "import { helper } from './helper';\nexport default { helper };",
      /write the extension \.ts/,
    ],
    ['imports what is not there', "import nothing from 'no-such-package';\nexport default nothing;", /no-such-package/],
    ['throws', '\n\nthrow new Error("out of luck");', /train\.ts:3.*out of luck/],
    ['exports too little', 'export default { params: {} };', /does not export data, model, optimizer/],
    ['has a syntax error', 'export default {', /train\.ts/],
  ];
  for (const [name, text, message] of sample(modules, 3)) {
    test(`because it ${name}: said so, and no run is left behind`, async () => {
      const { fixture } = shared;
      writeFileSync(join(fixture.root, 'helper.ts'), 'export const helper = 1;');
      writeFileSync(join(fixture.root, 'train.ts'), text);
      const result = await fixture.cli('run', 'small', '--json');
      expect(JSON.parse(result.stdout).error).toMatchObject({
        code: 'moduleInvalid',
        message: expect.stringMatching(message),
      });
      await noRuns(fixture);
    });
  }
});

describe('messages', () => {
  async function raw(fixture: Fixture): Promise<Socket> {
    await fixture.connect();
    return new Promise((resolve, reject) => {
      const socket = connectSocket(join(fixture.folder, 'state/daemon.sock'), () => resolve(socket));
      socket.once('error', reject);
    });
  }
  const frame = (value: unknown) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
  };
  const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve).resume());

  test('noise, lying lengths and oversized messages end the connection, not the daemon', async () => {
    const fixture = makeFixture();
    const random = Random.seeded(17);
    const noise = Array.from({ length: FULL ? 12 : 4 }, () =>
      Buffer.from(Array.from({ length: 3_000 }, () => Math.floor(random.float() * 256))),
    );
    const attacks = [
      ...noise,
      'Content-Length: 99999999999\r\n\r\n{}',
      'Content-Length: 20000000\r\n\r\n',
      'Content-Length: -5\r\n\r\n',
      `${'x'.repeat(5_000)}`,
      frame('[1,2'),
      frame('null'),
      frame('{"jsonrpc":"2.0"'),
    ];
    for (const attack of attacks) {
      const socket = await raw(fixture);
      const end = closed(socket);
      socket.write(attack);
      await end;
    }
    const client = await fixture.connect();
    expect((await client.request(daemonStatus, {})).clients).toBeGreaterThan(0);
  }, 120_000);

  test('params of the wrong shape are named; without hello or with a wrong token nothing is answered', async () => {
    const fixture = makeFixture();
    const client = await fixture.connect();
    await expect(client.request(runShow, { root: 5, run: null } as never)).rejects.toMatchObject({
      code: 'invalidParams',
      data: { method: 'run/show' },
    });
    await expect(client.request({ method: 'no/such', schema: daemonState.schema } as never, {})).rejects.toMatchObject({
      code: 'invalidParams',
    });
    const answer = async (value: unknown) => {
      const socket = await raw(fixture);
      let received = '';
      socket.on('data', (data) => {
        received += data;
      });
      socket.write(frame(value));
      await until('an answer', () => received.includes('{'));
      socket.destroy();
      return received;
    };
    expect(await answer({ jsonrpc: '2.0', id: 1, method: 'daemon/state', params: {} })).toContain('unauthorized');
    const hello = { protocol: 1, build: BUILD, client: 'x', token: 'f'.repeat(64) };
    expect(await answer({ jsonrpc: '2.0', id: 1, method: 'daemon/hello', params: hello })).toContain('unauthorized');
  });

  test('a client of an older protocol may look, and is told to update when it wants more', async () => {
    const fixture = makeFixture();
    await openProject(fixture);
    const token = readFileSync(join(fixture.folder, 'state/token'), 'utf8');
    const socket = await raw(fixture);
    let received = '';
    socket.on('data', (data) => {
      received += data;
    });
    const build = { version: '0.0.1', builtAt: 0 };
    const send = (id: number, method: string, params: unknown) =>
      socket.write(frame({ jsonrpc: '2.0', id, method, params }));
    send(1, 'daemon/hello', { protocol: 0, build, client: 'old', token });
    await until('hello is answered', () => received.includes('"id":1'));
    send(2, 'daemon/state', {});
    send(3, 'run/start', { root: fixture.root, job: 'small', params: {}, environment: {} });
    await until('both are answered', () => received.includes('"id":2') && received.includes('"id":3'));
    socket.destroy();
    expect(received).toMatch(/"id":2,"result":\{"revision"/);
    expect(received).toMatch(/"id":3,"error".*clientTooOld/);
    expect(received).toContain('Update Trainstash here');
    await noRuns(fixture);
  });

  test('a client that stops reading is cut off; the others and the daemon do not notice', async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const token = readFileSync(join(fixture.folder, 'state/token'), 'utf8');
    const socket = await raw(fixture);
    let over = false;
    socket.once('close', () => {
      over = true;
    });
    socket.write(
      frame({
        jsonrpc: '2.0',
        id: 1,
        method: 'daemon/hello',
        params: { protocol: 1, build: BUILD, client: 'deaf', token },
      }),
    );
    const run = await startSmall(client, fixture);
    await untilStatus(client, fixture, run.id, 'completed');
    socket.pause();
    const { clients: before } = await client.request(daemonStatus, {});
    const note = 'x'.repeat(4_000);
    // Each is announced to all clients; this one does not read.
    await until('the deaf client is cut off', async () => {
      for (let i = 0; i < 200; i++)
        await client.request(runUpdate, { root: fixture.root, run: run.id, note: `${i}${note}`.slice(0, 4_000) });
      const { clients } = await client.request(daemonStatus, {});
      return clients === before - 1;
    });
    socket.resume();
    await until('it learns of it', () => over);
  });

  test.each(sample(['a file', 'a device', 'nothing']))(
    '%s where a folder should be is refused as such',
    async (what) => {
      const fixture = makeFixture();
      const paths: Record<string, string> = { 'a file': join(fixture.root, 'small.ts'), 'a device': '/dev/null' };
      const client = await fixture.connect();
      for (const message of [branchFollow, branchSync, backendSurvey, runList, projectOpen]) {
        const params = {
          root: paths[what] ?? join(fixture.folder, 'missing'),
          follow: true,
          trusted: false,
          environment: {},
        };
        await expect(client.request(message as never, params as never)).rejects.toMatchObject({ code: 'notFound' });
      }
    },
  );

  test('an untrusted project may be looked at, but nothing of it is run', async () => {
    const fixture = makeFixture();
    const client = await fixture.connect();
    await client.request(projectOpen, { root: fixture.root, trusted: false });
    await expect(startSmall(client, fixture)).rejects.toMatchObject({ code: 'untrusted' });
    expect((await client.request(runList, { root: fixture.root })).runs).toEqual([]);
  });
});

test('looking into a folder that is no project leaves nothing in it; init makes it one', async () => {
  const fixture = makeFixture({ git: false });
  rmSync(join(fixture.root, 'trainstash.json'));
  const before = readdirSync(fixture.root);
  expect(await fixture.cli('ls')).toMatchObject({ code: 1, stderr: expect.stringContaining('trainstash init') });
  expect(readdirSync(fixture.root)).toEqual(before);
  expect(await fixture.cli('init', 'small.ts')).toMatchObject({ code: 0 });
  expect(JSON.parse((await fixture.cli('jobs', '--json')).stdout).jobs).toMatchObject([
    { name: 'train', what: 'small.ts' },
  ]);
});

test('a folder without git works, with one branch, and says that code is not kept', async () => {
  const fixture = makeFixture({ git: false });
  const started = await fixture.cli('run', 'small', '--json');
  expect(JSON.parse(started.stdout)).toMatchObject({ branch: null, code: null });
  await until(
    'it has ended',
    async () => JSON.parse((await fixture.cli('show', '1', '--json')).stdout).run.status === 'completed',
  );
  expect((await fixture.cli('show', '1')).stdout).toMatch(/code\s+not kept/);
  const where = JSON.parse((await fixture.cli('where', '--json')).stdout);
  expect(where.project).toMatchObject({ git: false, branch: null, store: join(fixture.root, '.trainstash') });
  rmSync(join(fixture.root, 'small.ts'));
});

test('a folder for stores that is none, cannot be made or takes no entries is refused as such', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  for (const [folder, reason] of [
    ['/dev/null', 'there is a file in its place'],
    ['/dev/null/below', 'there is a file in its place'],
    ['/proc/nothing', 'nothing can be created there'],
    ['relative', 'its path is not absolute'],
  ] as const)
    await expect(client.request(storesFolder, { folder })).rejects.toMatchObject({
      code: 'paramInvalid',
      message: expect.stringContaining(reason),
    });
});
