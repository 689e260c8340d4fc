/** Rebuilds the packages of then: what goes wrong, and what a run sees of them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { runEnvironment, runResume, runStart } from '../../protocol/messages/run.ts';
import { installers } from '../../scripts/python-environments.ts';
import { type Fixture, makeFixture, openProject, shellEnvironment, untilStatus } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { FULL } from '../support/sample.ts';

const { python: INSTALLERS } = installers(true);
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
): Promise<{ fixture: Fixture; client: Client; out: string }> {
  const out = join(temporaryFolder(), 'out');
  const fixture = makeFixture({ config: { jobs: { train: { run: `${command} ${out}` } } } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  execFileSync(PYTHON, ['-c', WHEEL, join(fixture.root, NAME)]);
  writeFileSync(join(fixture.root, lock), text);
  const client = await openProject(fixture);
  const asked = { root: fixture.root, job: 'train', params: {}, environment: shellEnvironment() };
  const run = await client.request(runStart, asked);
  await untilStatus(client, fixture, run.id, 'failed');
  writeFileSync(join(fixture.root, lock), '# today');
  return { fixture, client, out };
}

const environmentsOf = ({ store }: Fixture) =>
  readdirSync(join(store, 'files'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    /-env-[0-9a-f]{8}$/.test(path),
  );

test.skipIf(!PYTHON || !FULL)(
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

const PROJECT = `[project]
name = "project"
version = "0.1"
requires-python = ">=3.9"
dependencies = ["tiny"]
[tool.uv.sources]
tiny = { path = "${NAME}" }
`;

/** Shell in which these installers are on the PATH, beside what was there; `uv` looks for nothing on the network. */
function withInstallers(...names: string[]): Record<string, string> {
  const folder = temporaryFolder();
  for (const name of names) symlinkSync(join(dirname(INSTALLERS!), name), join(folder, name));
  const environment = shellEnvironment();
  return { ...environment, PATH: `${folder}:${environment.PATH}`, UV_OFFLINE: '1', UV_PYTHON_DOWNLOADS: 'never' };
}

test.skipIf(!INSTALLERS || !PYTHON)(
  'uv makes the environment of its lock file once, again where it was damaged, and `uv run` leaves the `.venv` of today alone',
  { timeout: WAIT_MS },
  async () => {
    const uv = withInstallers('uv');
    const out = join(temporaryFolder(), 'out');
    const job = { run: `uv run train.py ${out}`, checkpoint: { every: '1 steps' } };
    const fixture = makeFixture({ config: { jobs: { train: job } } });
    const { root } = fixture;
    // The session of its checkpoint began with `uv`, which is no Python to make an environment with.
    const steps = 'import trainstash\nrun = trainstash.init(params={})\nrun.step(loss=1.0)\n';
    writeFileSync(join(root, 'train.py'), `${SCRIPT}${steps}raise SystemExit(1)\n`);
    execFileSync(PYTHON, ['-c', WHEEL, join(root, NAME)]);
    writeFileSync(join(root, 'pyproject.toml'), PROJECT);
    writeFileSync(join(root, '.gitignore'), '.venv\n');
    const sync = () => {
      for (const word of ['lock', 'sync'])
        execFileSync(join(dirname(INSTALLERS!), 'uv'), [word, '--quiet'], {
          cwd: root,
          env: { ...process.env, ...uv },
        });
    };
    sync();
    const client = await openProject(fixture);
    await client.request(runStart, { root, job: 'train', params: {}, environment: uv });
    const { lastCheckpoint } = await untilStatus(client, fixture, '1', 'failed');
    expect(lastCheckpoint).not.toBeNull();
    expect(readFileSync(out, 'utf8')).toContain(`1 ${join(root, '.venv')}`);
    // Today's project has no packages at all.
    writeFileSync(join(root, 'pyproject.toml'), PROJECT.replace('"tiny"', '').split('[tool')[0]!);
    sync();

    await expect(rebuild(client, fixture)).rejects.toMatchObject({
      code: 'commandMissing',
      message: expect.stringContaining('`uv`, which is not on the PATH'),
    });
    await expect(
      rebuild(client, fixture, { environment: { ...uv, UV_CONFIG_FILE: join(root, 'missing.toml') } }),
    ).rejects.toMatchObject({
      code: 'environmentFailed',
      message: expect.stringMatching(/uv.lock: `uv sync .*` ended with 2\. Nothing was started/),
    });
    expect(environmentsOf(fixture)).toEqual([]);
    const environment = { ...uv, UV_PROJECT_ENVIRONMENT: join(root, '.venv') };
    const first = await rebuild(client, fixture, { environment });
    expect(await rebuild(client, fixture, { environment })).toEqual({ ...first, isNew: false });
    // As by a disk that was cleaned, and by a daemon that died while it installed.
    rmSync(first.python);
    mkdirSync(`${first.folder.slice(0, -8)}00000000`);
    const made = await rebuild(client, fixture, { environment });
    expect(made.isNew).toBe(true);
    expect(environmentsOf(fixture)).toHaveLength(1);

    const resume = async (more: object) => {
      rmSync(out, { force: true });
      const request = { root, run: '1', code: 'then', accept: true, environment: uv, ...more };
      await client.request(runResume, request as never);
      await untilStatus(client, fixture, '1', 'failed');
    };
    await resume({});
    // The `.venv` of today is as it was, and has no such package.
    expect(existsSync(out)).toBe(false);
    await resume({ interpreter: made.python });
    expect(readFileSync(out, 'utf8')).toContain(`1 ${made.folder}`);
    const left = readdirSync(join(root, '.venv/lib'), { recursive: true, encoding: 'utf8' });
    expect(left.filter((path) => path.endsWith('tiny.py'))).toEqual([]);
  },
);

const CONDA_LOCK = `version: 1
metadata:
  content_hash: {linux-64: "${'0'.repeat(64)}"}
  channels: []
  platforms: [linux-64]
  sources: [environment.yml]
package:
- {name: tiny, version: "1.0", manager: conda, platform: linux-64, dependencies: {}, url: "file:///channel/linux-64/tiny-1.0-0.tar.bz2",
   hash: {md5: "${'0'.repeat(32)}", sha256: "${'0'.repeat(64)}"}, category: main, optional: false}
`;

test.skipIf(!INSTALLERS || !PYTHON || process.platform !== 'linux')(
  'conda-lock tells conda to install what its lock file lists, into a folder for the run alone',
  { timeout: WAIT_MS },
  async () => {
    const said = join(temporaryFolder(), 'said');
    // conda-lock is the real one. conda cannot be had from PyPI: this one only notes what it was asked.
    const environment = withInstallers('conda-lock');
    const folder = environment.PATH!.split(':')[0]!;
    writeFileSync(
      join(folder, 'conda'),
      `#!/bin/sh
[ "$1" = --version ] && { echo conda 26.9.0; exit; }
while [ $# -gt 0 ]; do case "$1" in --file) file=$2;; --prefix) prefix=$2;; esac; shift; done
{ echo "$prefix"; cat "$file"; } > ${said}
mkdir -p "$prefix/bin" && ln -s ${PYTHON} "$prefix/bin/python"
`,
      { mode: 0o755 },
    );
    const { fixture, client } = await failed('python3 train.py', 'conda-lock.yml', CONDA_LOCK);
    const made = await rebuild(client, fixture, { environment });
    expect(made).toMatchObject({ lock: 'conda-lock.yml', isNew: true });
    const [prefix, ...listed] = readFileSync(said, 'utf8').split('\n');
    expect(prefix).toBe(made.folder);
    expect(listed.join()).toContain('file:///channel/linux-64/tiny-1.0-0.tar.bz2#');
  },
);

test.skipIf(!INSTALLERS || !PYTHON || process.platform !== 'linux')(
  'where conda fails, its own words are shown, and that Trainstash was not tried with its registries',
  { timeout: WAIT_MS },
  async () => {
    // conda-lock adds a traceback of its own, which is longer than what is shown.
    const environment = withInstallers('conda-lock');
    const conda = join(environment.PATH!.split(':')[0]!, 'conda');
    const text = `#!/bin/sh
[ "$1" = --version ] && { echo conda 26.9.0; exit; }
echo 'CondaHTTPError: HTTP 404 NOT FOUND for url <file:///channel/linux-64/tiny-1.0-0.tar.bz2>' >&2
exit 1
`;
    writeFileSync(conda, text, { mode: 0o755 });
    const { fixture, client } = await failed('python3 train.py', 'conda-lock.yml', CONDA_LOCK);
    const error = await rebuild(client, fixture, { environment }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'environmentFailed',
      data: { output: expect.stringMatching(/CondaHTTPError: HTTP 404.*CalledProcessError: .* exit status 1/s) },
      message: expect.stringContaining('never with packages from a registry'),
    });
  },
);

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
