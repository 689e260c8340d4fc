/** The command line at its edges: readers that leave, full disks, hostile names in a terminal, bugs. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runList, runStop } from '../../protocol/messages/run.ts';
import { start } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject, show, startSmall, untilStatus, untilStep } from '../support/daemon.ts';
import { DIST } from '../support/trainer.ts';

const ESC = '\u001b';
const BEL = '\u0007';

test('a reader that leaves ends a command quietly, with the code of SIGPIPE; a run that it follows goes on', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 100, epochs: 100 });
  await untilStep(client, fixture, run.id, 2);
  const talking = await start(client, fixture, [
    'python3',
    '-uc',
    'import time\nfor i in range(6000): print(i); time.sleep(0.05)',
  ]);
  const commands = [
    ['ls'],
    ['ls', '--json'],
    ['show', '1'],
    ['show', '1', '--json'],
    ['help'],
    ['where'],
    ['daemon', 'logs'],
    ['log', '2'],
    ['log', '2', '-f'],
    ['log', '2', '-f', '--json'],
    ['run', '--', 'python3', '-uc', 'import time\nfor i in range(20): print(i); time.sleep(0.05)'],
    ['pause', '1'],
  ];
  for (const command of commands) {
    const left = await withoutReader(fixture, command);
    expect(left, command.join(' ')).toEqual({ code: 141, stderr: '' });
  }
  await untilStatus(client, fixture, run.id, 'paused');
  expect((await show(client, fixture, talking.id)).run.status).toBe('running');
  await client.request(runStop, { root: fixture.root, run: talking.id, force: true });
  const followed = (await client.request(runList, { root: fixture.root, drafts: true })).runs[0]!;
  await untilStatus(client, fixture, followed.id, 'completed');
});

test.skipIf(process.platform !== 'linux')(
  'a disk without room is said, and nothing is cut off without a word',
  async () => {
    const fixture = makeFixture();
    for (const command of [['help'], ['ls'], ['ls', '--json']]) {
      const full = openSync('/dev/full', 'w');
      const done = spawnSync(process.execPath, [join(DIST, 'trainstash.js'), ...command], {
        cwd: fixture.root,
        env: fixture.env,
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      });
      expect(done.status).toBe(1);
      expect(done.stderr).toMatch(/^error: The output could not be written: no space is left on the disk\..*\n$/);
    }
  },
);

test('names and logs of a script are text in a terminal; --raw and a pipe get what was printed', async () => {
  const fixture = makeFixture();
  const clipboard = `${ESC}]52;c;cm0gLXJmIH4K${BEL}`;
  writeFileSync(
    join(fixture.root, 'evil.py'),
    `print("a\\x1b]52;c;cm0gLXJmIH4K\\x07b\\x1b]0;title\\x07 \\x1b[32mgreen\\x1b[0m \\u202edcba")\nraise RuntimeError("\\x1b]52;c;x\\x07\\u202eend")\n`,
  );
  const client = await openProject(fixture);
  const run = await start(client, fixture, ['python3', 'evil.py', `${clipboard}\u202eword`]);
  await untilStatus(client, fixture, run.id, 'failed');
  expect((await fixture.cli('rename', '1', `n${clipboard}\u202e\u200bame`, '--note', `${ESC}[2J`)).code).toBe(0);
  const piped = await fixture.cli('log', '1');
  expect(piped.stdout).toContain(clipboard);
  expect(inTerminal(fixture, 'log', '1', '--raw')).toContain(clipboard);
  const shown = inTerminal(fixture, 'log', '1');
  expect(shown).toContain(`ab ${ESC}[32mgreen${ESC}[0m \ufffddcba`);
  for (const command of [
    ['ls', '--all'],
    ['show', '1'],
    ['ls', '--json'],
    ['show', '1', '--json'],
    ['rename', '1', `x${clipboard}`],
    ['resume', clipboard],
    ['gc', '--why', '1'],
  ]) {
    const text = inTerminal(fixture, ...command);
    expect(text, command.join(' ')).not.toContain(`${ESC}]`);
    expect(text, command.join(' ')).not.toMatch(new RegExp(`[${BEL}\u202e\u200b]`));
  }
});

test('the version is told in every spelling', async () => {
  const fixture = makeFixture();
  for (const word of ['--version', '-V', '-v', 'version'])
    expect((await fixture.cli(word)).stdout).toMatch(/^trainstash \d+\.\d+\.\d+\S*\n$/);
  expect(JSON.parse((await fixture.cli('version', '--json')).stdout).version).toMatch(/^\d/);
  expect((await fixture.cli('hlep')).stderr).toContain('Did you mean "help"?');
  expect((await fixture.cli('-x')).stderr).not.toContain('Did you mean');
});

test('help fits 80 columns', async () => {
  const fixture = makeFixture();
  const overview = (await fixture.cli('help')).stdout;
  const names = [...overview.matchAll(/^ {2}([a-z]+) {2}/gm)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(30);
  const pages = await Promise.all(
    [...names.slice(0, 12), 'export', 'mcp', 'fork', 'gc'].map((name) => fixture.cli('help', name)),
  );
  for (const line of [overview, ...pages.map(({ stdout }) => stdout)].join('\n').split('\n'))
    expect([...line].length, line).toBeLessThanOrEqual(80);
});

test('a bug is one sentence and a log; its stack is for who asks', async () => {
  const fixture = makeFixture();
  // A build that has lost a file, and one that meets an unforeseen error.
  const broken = join(fixture.folder, 'broken');
  cpSync(DIST, broken, { recursive: true, filter: (path) => !/node_modules|[/\\]tf/.test(path.slice(DIST.length)) });
  rmSync(join(broken, 'cli.js'));
  const gone = cliOf(fixture, broken, {}, 'ls');
  expect(gone.status).toBe(1);
  expect(gone.stderr).toMatch(
    /^error: Trainstash cannot be loaded from .*Reinstall Trainstash\. TRAINSTASH_DEBUG=1 shows the details\.\n$/,
  );
  cpSync(join(DIST, 'cli.js'), join(broken, 'cli.js'));
  // The copy of the runtime cannot be made.
  mkdirSync(join(fixture.folder, 'state'), { recursive: true });
  writeFileSync(join(fixture.folder, 'state/runtime'), 'a file in its place');
  const unforeseen = cliOf(fixture, DIST, {}, 'ls');
  expect(unforeseen.status).toBe(1);
  expect(unforeseen.stderr).toMatch(
    /^error: Unexpected: .*\. The details are in .*cli\.log; TRAINSTASH_DEBUG=1 shows them\.\n$/,
  );
  expect(unforeseen.stderr).not.toMatch(/\n\s+at /);
  expect(readFileSync(join(fixture.folder, 'state/cli.log'), 'utf8')).toMatch(/\n\s+at /);
  expect(cliOf(fixture, DIST, { TRAINSTASH_DEBUG: '1' }, 'ls').stderr).toMatch(/\n\s+at /);
  expect(cliOf(fixture, DIST, {}, 'ls', '--json').stdout).toMatch(
    /^\{"error":\{"code":"internal","message":"Unexpected: /,
  );
});

function cliOf({ root, env }: Fixture, dist: string, more: Record<string, string>, ...args: string[]) {
  return spawnSync(process.execPath, [join(dist, 'trainstash.js'), ...args], {
    cwd: root,
    env: { ...env, ...more },
    encoding: 'utf8',
  });
}

/** Runs a command whose reader has gone before it writes anything. */
function withoutReader({ root, env }: Fixture, args: string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [join(DIST, 'trainstash.js'), ...args], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stderr })));
}

/** Returns the bytes that a terminal gets. */
function inTerminal({ root, env }: Fixture, ...args: string[]): string {
  const code = `
import os, pty, sys
def read(fd):
    return os.read(fd, 65536)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read)))`;
  const words = ['-c', code, process.execPath, join(DIST, 'trainstash.js'), ...args];
  const { NO_COLOR, ...colours } = env;
  try {
    return execFileSync('python3', words, {
      cwd: root,
      env: { ...colours, TERM: 'xterm' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    return String((error as { stdout?: string }).stdout);
  }
}
