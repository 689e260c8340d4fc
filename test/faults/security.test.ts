/** Statements of docs/security.md that no other test covers. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterEach, expect, test } from 'vitest';
import { codeRestore } from '../../protocol/messages/diff.ts';
import { projectJobs, projectOpen } from '../../protocol/messages/project.ts';
import { runStop } from '../../protocol/messages/run.ts';
import { checkpointFileSchema } from '../../protocol/session.ts';
import { makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE, PYTHON } from '../support/python.ts';

const LINUX = process.platform === 'linux';
const before = process.umask();
afterEach(() => {
  process.umask(before);
});

test.runIf(process.platform !== 'win32')(
  'nobody else may look into the state directory or a store, whatever the umask',
  async () => {
    process.umask(0);
    const fixture = makeFixture();
    const client = await openProject(fixture);
    await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
    const state = join(fixture.folder, 'state');
    const mode = (path: string) => lstatSync(path).mode & 0o777;
    // Files in a directory that nobody else may enter need no modes of their own; secret ones have them anyway.
    expect(mode(state)).toBe(0o700);
    expect(mode(fixture.store)).toBe(0o700);
    for (const name of ['token', 'daemon.json']) expect(mode(join(state, name)), name).toBe(0o600);
  },
);

test.runIf(LINUX)('the daemon and its trainers listen at no port that a web page could reach', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 100, epochs: 20 });
  await untilStatus(client, fixture, run.id, 'running');
  const children = readFileSync(`/proc/${fixture.daemonPid()}/task/${fixture.daemonPid()}/children`, 'utf8').split(' ');
  const pids = [fixture.daemonPid(), ...children.filter(Boolean).map(Number)];
  expect(pids.length).toBeGreaterThan(1);
  const listening = new Set(
    ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((kind) =>
      readFileSync(`/proc/net/${kind}`, 'utf8')
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[3] === '0A' || kind.startsWith('udp'))
        .map((fields) => fields[9]),
    ),
  );
  const sockets = pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  expect(sockets.length).toBeGreaterThan(0);
  expect(sockets.filter((inode) => listening.has(inode))).toEqual([]);
  await client.request(runStop, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'stopped', 'completed');
});

test('looking at a repository runs nothing that it names; a run asks git for its status, and nothing more', async () => {
  const fixture = makeFixture();
  const trace = join(fixture.folder, 'ran');
  const git = (...words: string[]) => execFileSync('git', words, { cwd: fixture.root });
  git('config', 'filter.evil.clean', `sh -c 'echo clean >> ${trace}; cat'`);
  git('config', 'filter.evil.smudge', `sh -c 'echo smudge >> ${trace}; cat'`);
  git('config', 'core.fsmonitor', `sh -c 'echo fsmonitor >> ${trace}'`);
  writeFileSync(join(fixture.root, '.gitattributes'), '* filter=evil\n');
  for (const name of ['post-checkout', 'pre-commit', 'post-index-change', 'reference-transaction'])
    writeFileSync(join(fixture.root, '.git/hooks', name), `#!/bin/sh\necho ${name} >> ${trace}\n`, { mode: 0o755 });
  // Only viewed, as the editor does with an untrusted folder.
  const looker = await fixture.connect();
  await looker.request(projectOpen, { root: fixture.root, trusted: false, create: true });
  await looker.request(projectJobs, { root: fixture.root });
  expect(existsSync(trace)).toBe(false);

  const client = await openProject(fixture);
  const run = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  await client.request(codeRestore, { root: fixture.root, source: run.id, directory: join(fixture.folder, 'code') });
  // git decides about uncommitted changes, with its own filters; the snapshot itself uses none.
  const ran = existsSync(trace) ? readFileSync(trace, 'utf8') : '';
  expect(ran).not.toMatch(/smudge|checkout|commit|transaction/);
  expect(readFileSync(join(fixture.folder, 'code/small.ts'), 'utf8')).toBe(
    readFileSync(join(fixture.root, 'small.ts'), 'utf8'),
  );
});

test.runIf(PYTHON)('the Python package runs nothing that a checkpoint names', () => {
  const folder = temporaryFolder();
  const code = `
import os, sys, torch
from trainstash import ptread
class Evil:
    def __reduce__(self): return os.system, ('touch ' + sys.argv[2],)
torch.save({'model': Evil(), 'w': torch.ones(3)}, sys.argv[1])
try: ptread.read(sys.argv[1])
except ValueError as error: print('REFUSED', error)
`;
  const words = ['-W', 'ignore', '-c', code, join(folder, 'evil.pt'), join(folder, 'ran')];
  const { stdout, stderr } = spawnSync(PYTHON, words, {
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1' },
  });
  expect(stdout, stderr).toMatch(/^REFUSED .*system/);
  expect(existsSync(join(folder, 'ran'))).toBe(false);
});

test('no name of a checkpoint’s file leads out of the folder that it is restored to', () => {
  const files = checkpointFileSchema.entries.files;
  const isTaken = (name: string) => v.safeParse(files, [{ name, bytes: 1 }]).success;
  for (const name of ['../x', 'a/../../x', '/etc/x', 'C:\\x', '\\\\host\\x', '..', 'a/..', ''])
    expect(isTaken(name), name).toBe(false);
  for (const name of ['state.pt', 'checkpoint-5/model.safetensors', '..hidden', 'a..b'])
    expect(isTaken(name), name).toBe(true);
});
