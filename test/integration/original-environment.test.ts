/** Rebuilds the packages of then: what goes wrong, and what a run sees of them. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { runEnvironment, runResume, runStart } from '../../protocol/messages/run.ts';
import { type Fixture, makeFixture, openProject, shellEnvironment, untilStatus } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

const WAIT_MS = 120_000;
const SCRIPT = `
import sys, tiny
open(sys.argv[1], 'w').write(f'{tiny.VERSION} {tiny.__file__}')
`;
/** Writes a wheel without anything but one module. */
const WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('tiny.py', 'VERSION = 1')
    about = 'tiny-1.0.dist-info/'
    wheel.writestr(about + 'METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')
    wheel.writestr(about + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(about + 'RECORD', '')
`;

const NAME = 'tiny-1.0-py3-none-any.whl';
type Asked = { environment?: Record<string, string>; interpreter?: string };
const rebuild = (client: Client, { root }: Fixture, more: Asked = {}) =>
  client.request(runEnvironment, { root, run: '1', environment: shellEnvironment(), ...more });

/** Makes a run that has failed for want of a package, which only the requirements of then list. */
async function failed(
  command: string,
  lock: string,
  text: string,
  environment?: Record<string, string>,
): Promise<{ fixture: Fixture; client: Client; out: string }> {
  const out = join(temporaryFolder(), 'out');
  const fixture = makeFixture({ config: { jobs: { train: { run: `${command} ${out}` } } } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  execFileSync(PYTHON, ['-c', WHEEL, join(fixture.root, NAME)]);
  writeFileSync(join(fixture.root, lock), text);
  const client = await openProject(fixture);
  const asked = { root: fixture.root, job: 'train', params: {}, environment: environment ?? shellEnvironment() };
  const run = await client.request(runStart, asked);
  await untilStatus(client, fixture, run.id, 'failed');
  writeFileSync(join(fixture.root, lock), '# today');
  return { fixture, client, out };
}

const environmentsOf = ({ store }: Fixture) =>
  readdirSync(join(store, 'files'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    /-env-[0-9a-f]{8}$/.test(path),
  );

/** Puts a program on the PATH that a test has written. */
function withProgram(name: string, text: string): Record<string, string> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}`);
  chmodSync(join(folder, name), 0o755);
  const environment = shellEnvironment();
  return { ...environment, PATH: `${folder}:${environment.PATH}` };
}

test.skipIf(!PYTHON || !process.env.TRAINSTASH_TEST_FULL)(
  'the packages of then are installed for the run alone, once, and again where they were damaged',
  { timeout: WAIT_MS },
  async () => {
    const { fixture, client, out } = await failed('python3 train.py', 'requirements.txt', `./${NAME}\n`);
    const elsewhere = temporaryFolder();
    const environment = { ...shellEnvironment(), PIP_TARGET: elsewhere, PIP_USER: '1' };
    const made = await rebuild(client, fixture, { environment });
    expect(made).toMatchObject({ lock: 'requirements.txt', isNew: true });
    expect(made.folder.startsWith(join(fixture.store, 'files'))).toBe(true);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(await rebuild(client, fixture)).toEqual({ ...made, isNew: false });
    const { root } = fixture;
    const request = {
      root,
      run: '1',
      code: 'then',
      accept: false,
      environment: shellEnvironment(),
      interpreter: made.python,
    };
    const run = await client.request(runResume, request as never);
    const ended = await untilStatus(client, fixture, run.id, 'completed');
    expect(readFileSync(out, 'utf8')).toContain(`1 ${made.folder}`);
    expect(ended.notices.find(({ code }) => code === 'originalCode')?.text).toContain('those of its requirements.txt');
    expect(ended.notices.some(({ code }) => code === 'otherPackages')).toBe(false);
  },
);

test('uv makes the environment of its lock file once, again where it was damaged, and `uv run` leaves the `.venv` of today alone', async () => {
  const said = join(temporaryFolder(), 'said');
  const uv = withProgram(
    'uv',
    `echo "$@ in $UV_PROJECT_ENVIRONMENT with $UV_NO_SYNC" >> ${said}
if [ "$1" = sync ]; then mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"; ln -s "$(command -v sh)" "$UV_PROJECT_ENVIRONMENT/bin/python"; fi
exit \${UV_FAILS:-0}`,
  );
  const { fixture, client } = await failed('uv run train.py', 'uv.lock', 'version = 1\n', { ...uv, UV_FAILS: '1' });
  const environment = { ...uv, UV_PROJECT_ENVIRONMENT: join(fixture.root, '.venv') };
  await expect(rebuild(client, fixture)).rejects.toMatchObject({
    code: 'commandMissing',
    message: expect.stringContaining('`uv`, which is not on the PATH'),
  });
  await expect(rebuild(client, fixture, { environment: { ...uv, UV_FAILS: '2' } })).rejects.toMatchObject({
    code: 'environmentFailed',
    message: expect.stringMatching(/uv.lock: `uv sync .*` ended with 2\. Nothing was started/),
  });
  expect(environmentsOf(fixture)).toEqual([]);
  const first = await rebuild(client, fixture, { environment });
  expect(await rebuild(client, fixture, { environment })).toEqual({ ...first, isNew: false });
  // As by a disk that was cleaned, and by a daemon that died while it installed.
  rmSync(first.python);
  mkdirSync(`${first.folder.slice(0, -8)}00000000`);
  const made = await rebuild(client, fixture, { environment });
  expect(made.isNew).toBe(true);
  expect(environmentsOf(fixture)).toHaveLength(1);
  writeFileSync(said, '');
  const { root } = fixture;
  const resume = async (more: object) => {
    const request = { root, run: '1', code: 'then', accept: true, environment: uv, ...more };
    return untilStatus(client, fixture, (await client.request(runResume, request as never)).id, 'completed');
  };
  await resume({});
  await resume({ interpreter: made.python });
  expect(readFileSync(said, 'utf8').trim().split('\n')).toEqual([
    expect.stringMatching(/^run train.py .* in {2}with 1$/),
    expect.stringMatching(new RegExp(`^run train.py .* in ${made.folder} with 1$`)),
  ]);
});

test.skipIf(!PYTHON)(
  'a code without a lock file, and a command with a Python of its own, have no other environment',
  async () => {
    const { fixture, client } = await failed('python3 train.py', 'notes.txt', '');
    await expect(rebuild(client, fixture)).rejects.toMatchObject({
      code: 'notFound',
      message: expect.stringContaining('no uv.lock, conda-lock.yml or requirements.txt'),
    });
    const own = await failed(`${PYTHON} train.py`, 'requirements.txt', '');
    await expect(rebuild(own.client, own.fixture)).rejects.toMatchObject({ code: 'paramInvalid' });
  },
);
