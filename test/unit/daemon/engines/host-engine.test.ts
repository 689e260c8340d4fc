/** Answers of a host with SSH, and its two programs in a shell of this machine. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AGENT_SCRIPT, jobScript, secretsScript } from '../../../../daemon/engines/host/script.ts';
import { jobsIn } from '../../../../daemon/engines/host/states.ts';
import { temporaryFolder, until } from '../../../support/folder.ts';

test('ends are told apart: of a job, of its host, and by a person', () => {
  const jobs = jobsIn(
    [
      'a running box ',
      'b pending - ',
      'c pending box turn',
      'd ended box 0',
      'e ended box 75',
      'f ended box 75 shutdown',
      'g ended box 3',
      'h ended box 137',
      'i lost box rebooted',
      'j elsewhere other ',
      'k gone - ',
      '',
    ].join('\n'),
  );
  const told = [...jobs].map(([id, job]) => [id, 'elsewhere' in job ? job.elsewhere : (job.end ?? job.phase)]);
  expect(told).toEqual([
    ['a', 'running'],
    ['b', 'pending'],
    ['c', 'pending'],
    ['d', 'completed'],
    ['e', 'cancelled'],
    ['f', 'lost'],
    ['g', 'failed'],
    ['h', 'lost'],
    ['i', 'lost'],
    ['j', 'other'],
    ['k', 'gone'],
  ]);
});

/** Makes a folder with one job, whose program is a shell script. */
function host(script: string, job = 'k1') {
  const folder = join(temporaryFolder(), `it's a "folder"`);
  const own = join(folder, 'jobs', job);
  const place = join(folder, 'runs/r/1');
  for (const made of [own, place]) mkdirSync(made, { recursive: true });
  const setup = ['echo set up'];
  writeFileSync(
    join(own, 'run.sh'),
    jobScript({ places: [place], program: ['/bin/sh', '-c', script] }, { job: own, folder, slots: 1, setup }),
  );
  writeFileSync(join(own, 'secrets.sh'), secretsScript({ SECRET: `'"$HOME"` }));
  const agent = (...words: string[]) =>
    execFileSync('sh', ['-s', '--', words[0]!, folder, ...words.slice(1)], { input: AGENT_SCRIPT, encoding: 'utf8' });
  return {
    own,
    agent,
    folder,
    printed: () => readFileSync(join(place, 'job.log'), 'utf8'),
    state: () => jobsIn(agent('poll', job)).get(job),
  };
}

test('a job has its secrets, which leave no file, its own place, and ends with its code', async () => {
  const { agent, own, printed, state } = host('echo "$SECRET in $0"; exit 3');
  expect(state()).toMatchObject({ phase: 'gone' });
  agent('launch', '10', 'k1');
  await until('it has ended', () => existsSync(join(own, 'end')));
  expect(state()).toMatchObject({ phase: 'ended', end: 'failed' });
  expect(printed()).toContain(`set up\n'"$HOME" in `);
  expect(existsSync(join(own, 'secrets.sh'))).toBe(false);
  expect(agent('find', 'k1')).toBe('k1\n');
  // It cannot start twice.
  const before = printed();
  execFileSync('bash', [join(own, 'run.sh')]);
  expect(printed()).toBe(before);
});

test('a job that was withdrawn before it began never begins', () => {
  const { agent, own, printed, state } = host('echo begun');
  agent('cancel', 'k1', '1');
  expect(state()).toMatchObject({ phase: 'ended', end: 'cancelled', nodes: '' });
  expect(() => agent('launch', '10', 'k1')).toThrow();
  execFileSync('bash', [join(own, 'run.sh')]);
  expect(printed()).toBe('');
});

test('a job that was asked to end tells its program, and one whose processes are gone is lost', async () => {
  const { agent, own, state } = host('trap "exit 75" TERM; echo ready; while :; do sleep 0.05; done');
  agent('launch', '10', 'k1');
  await until('it runs', () => existsSync(join(own, 'child')) && (state() as { phase: string }).phase === 'running');
  agent('cancel', 'k1', '1');
  await until('it has ended', () => existsSync(join(own, 'end')));
  expect(state()).toMatchObject({ end: 'cancelled' });

  const killed = host('while :; do sleep 0.05; done');
  killed.agent('launch', '10', 'k1');
  await until('it runs too', () => existsSync(join(killed.own, 'child')));
  const pids = ['facts', 'child'].map((file, i) => readFileSync(join(killed.own, file), 'utf8').split('\n')[i ? 0 : 3]);
  for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
  await until('it is lost', () => (killed.state() as { end?: string }).end === 'lost');
});

test('another boot of the same machine has lost its jobs, and another machine proves nothing', async () => {
  const { own, folder, state } = host('true');
  mkdirSync(join(own, 'launched'));
  const facts = (name: string, boot: string) =>
    writeFileSync(join(own, 'facts'), [name, read('/etc/machine-id'), boot, '1', '1', ''].join('\n'));
  const name = execFileSync('hostname', { encoding: 'utf8' }).trim();
  facts(name, 'another boot');
  expect(state()).toMatchObject({ end: 'lost', reason: 'rebooted' });
  facts('another-machine', 'another boot');
  expect(state()).toEqual({ elsewhere: 'another-machine' });
  // Of this boot, a lock decides.
  facts('a-name-before', read('/proc/sys/kernel/random/boot_id'));
  const holder = spawn('flock', [join(own, 'lock'), 'sh', '-c', `: > '${folder.replaceAll("'", "'\\''")}/held'; cat`]);
  await until('the lock is held', () => existsSync(join(folder, 'held')));
  writeFileSync(join(own, 'begun'), '');
  expect(state()).toMatchObject({ phase: 'running' });
  holder.stdin.end();
  await until('it is lost', () => (state() as { end?: string }).end === 'lost');
});

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
}
