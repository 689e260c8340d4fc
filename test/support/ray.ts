/** A real Ray of the test's own: a head with its Jobs API, in a network and among processes of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { serverPython } from '../../scripts/python-environments.ts';
import { type Network, network, whyNoBox } from './box.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder, until } from './folder.ts';

const PORT = 8265;
const START_MS = 120_000;

export interface Ray extends Network {
  /** Address of its dashboard. */
  url: string;
  /** Kills the head and all that it runs. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Tells why there is no Ray here; null: there is. `make` installs it, which takes minutes. */
export function whyNoRay(make: boolean): string | null {
  return whyNoBox() ?? serverPython('ray', make).why;
}

export async function ray(): Promise<Ray> {
  const own = network();
  const program = join(dirname(serverPython('ray', false).python!), 'ray');
  // Its sockets have paths, which have to be short.
  const folder = temporaryFolder();
  const url = `http://${own.address}:${PORT}`;
  let child: ChildProcess | null = null;
  const stop = async () => {
    const running = child;
    child = null;
    if (!running) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    own.powerOff();
    await ended;
  };
  const start = async () => {
    rmSync(join(folder, 'ray'), { recursive: true, force: true });
    const [ip, ...words] = own.within;
    const among = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
    const head = [
      program,
      'start',
      '--head',
      '--block',
      '--node-ip-address=127.0.0.1',
      '--dashboard-host=0.0.0.0',
      '--num-cpus=2',
      '--object-store-memory=80000000',
      '--disable-usage-stats',
      `--temp-dir=${join(folder, 'ray')}`,
    ];
    child = spawn(ip!, [...words, ...among, ...head], { stdio: 'ignore' });
    await until('Ray answers', () => answers(`${url}/api/version`), START_MS);
  };
  afterwards(stop);
  await start();
  return { ...own, url, start, stop };
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { timeout: 2_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => resolve(false));
    asked.end();
  });
}
