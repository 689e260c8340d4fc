/** Remotes over SSH whose host key changes, whose connection is cut, or behind which there is no SFTP at all. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDriver } from '../../daemon/remotes/drivers/open.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { emptyMachine, filesBelow, machine, UNWATCHED } from '../support/remotes.ts';
import { sshServer, whyNoSsh } from '../support/ssh-server.ts';

const why = whyNoSsh();
const onServer = test.skipIf(why !== null);
if (why !== null) console.warn(`TESTS OF SSH ARE SKIPPED: ${why}.`);

onServer('a host key that has changed stops everything before a byte is sent, and says so', async () => {
  const server = await sshServer();
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'), 1e12, server.variables);
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  await one.remotes.add('box', { url: server.urlOf(join(folder, 'box')) }, folder);
  await server.changeKey();
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({
    code: 'remoteDenied',
    message: expect.stringMatching(/Host key verification failed/),
  });
  expect(filesBelow(join(folder, 'box'))).toEqual(['trainstash.json']);
});

onServer(
  'a connection that is cut again and again while a push goes on leaves whole checkpoints, and the push ends',
  async () => {
    const server = await sshServer();
    const folder = temporaryFolder();
    const one = await machine(join(folder, 'one'), 1e12, server.variables);
    await save(one, makeCheckpoint(folder, one.session.id, 1, 1, 20));
    const url = server.urlOf(join(folder, 'box'));
    await one.remotes.add('box', { url }, folder);
    let cuts = 0;
    const progress = () => {
      // The clients of this process: ssh ends, as when a network goes away.
      if (++cuts !== 3 && cuts !== 6) return;
      for (const pid of childrenNamed('ssh')) process.kill(pid, 'SIGKILL');
    };
    await one.remotes.push('box', [], { signal: UNWATCHED.signal, progress });
    expect(cuts).toBeGreaterThan(4);
    const two = await emptyMachine(join(folder, 'two'), 1e12, server.variables);
    await two.remotes.add('box', { url }, folder);
    expect(await two.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
    expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1 });
  },
);

test('a driver that is closed while a request is under way starts no other connection', async () => {
  const folder = temporaryFolder();
  const bin = join(folder, 'bin');
  const calls = join(folder, 'calls');
  mkdirSync(bin);
  // Answers the greeting of SFTP, version 3, and nothing after it.
  const script = `#!/bin/sh\necho x >> ${calls}\nprintf '\\0\\0\\0\\5\\2\\0\\0\\0\\3'\nexec cat > /dev/null\n`;
  writeFileSync(join(bin, 'ssh'), script, { mode: 0o755 });
  const driver = openDriver('box', { url: `ssh://host${folder}` }, () => ({ PATH: `${bin}:/usr/bin:/bin` }));
  const outcome = driver.exists().catch((error) => error.code);
  await until('it has connected', () => existsSync(calls));
  driver.close();
  expect(await outcome).toBe('remoteUnreachable');
  await expect(driver.exists()).rejects.toMatchObject({ code: 'remoteUnreachable' });
  expect(readFileSync(calls, 'utf8')).toBe('x\n');
});

test('without ssh, without a server, or with something else behind it, the reason is named', async () => {
  const folder = temporaryFolder();
  const withSsh = (script: string | null) => {
    const bin = join(temporaryFolder(), 'bin');
    mkdirSync(bin);
    if (script !== null) writeFileSync(join(bin, 'ssh'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const driver = openDriver('box', { url: `ssh://host${folder}` }, () => ({
      PATH: script === null ? bin : `${bin}:/usr/bin:/bin`,
    }));
    afterwards(() => driver.close());
    return driver.exists().then(
      () => 'works',
      (error) => `${error.code}: ${error.message}`,
    );
  };
  expect(await withSsh(null)).toMatch(/^remoteUnreachable: .*ENOENT/);
  expect(await withSsh('echo "ssh: connect to host host port 22: Connection refused" >&2; exit 255')).toMatch(
    /^remoteUnreachable: .*Connection refused/,
  );
  expect(await withSsh('echo "me@host: Permission denied (publickey)." >&2; exit 255')).toMatch(
    /^remoteDenied: .*publickey/,
  );
  expect(await withSsh('echo "Welcome! You have mail, and a shell that greets everybody."; cat > /dev/null')).toMatch(
    /^remoteUnreachable/,
  );
  expect(await withSsh("printf '\\377\\377\\377\\377garbage'; sleep 1")).toMatch(/^remoteUnreachable/);
});

function childrenNamed(name: string): number[] {
  const pids = execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  const direct = pids.split('\n').flatMap((line) => {
    const [pid, comm] = line.trim().split(/\s+/);
    return comm === name ? [Number(pid)] : [];
  });
  return direct.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('sftp'));
}
