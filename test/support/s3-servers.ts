/** Real S3 servers from PyPI, each in a process of its own, with a bucket. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { serverPython } from '../../scripts/python-environments.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder, until } from './folder.ts';

export type S3ServerName = 'nanio' | 'localbucket' | 'moto';

export interface S3Server {
  endpoint: string;
  bucket: string;
  /** Environment with the right credentials. */
  variables: Record<string, string>;
  stop(): Promise<void>;
  /** Starts it again at the same address; what it keeps on a disk is still there. */
  start(): Promise<void>;
  deleteBucket(): Promise<void>;
}

const BUCKET = 'checkpoints';
const KEYS = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };

/** Tells why a server cannot be had here; null: it can. */
export function whyNoServer(name: S3ServerName): string | null {
  return serverPython(environmentOf(name), true).why;
}

export async function s3Server(name: S3ServerName): Promise<S3Server> {
  const { python, why } = serverPython(environmentOf(name), true);
  if (!python) throw new Error(why ?? '');
  const data = temporaryFolder();
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  let child: ChildProcess | null = null;
  const stop = async () => {
    const running = child;
    child = null;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
  };
  const start = async () => {
    const [program, words] = commandOf(name, python, data, port);
    const env = {
      ...process.env,
      NANIO_ACCESS_KEY: KEYS.AWS_ACCESS_KEY_ID,
      NANIO_SECRET_KEY: KEYS.AWS_SECRET_ACCESS_KEY,
    };
    const started = spawn(program, words, { stdio: 'ignore', env });
    child = started;
    await until(`${name} answers`, async () => {
      if (started.exitCode !== null) throw new Error(`${name} has ended with ${started.exitCode}`);
      return fetch(endpoint).then(
        () => true,
        () => false,
      );
    });
    if (name === 'moto') await fetch(`${endpoint}/${BUCKET}`, { method: 'PUT' });
  };
  afterwards(stop);
  if (name !== 'moto') mkdirSync(join(data, BUCKET));
  await start();
  const deleteBucket = async () => {
    if (name !== 'moto') rmSync(join(data, BUCKET), { recursive: true });
    else await fetch(`${endpoint}/moto-api/reset`, { method: 'POST' });
  };
  const variables = { ...KEYS, AWS_EC2_METADATA_DISABLED: 'true', HOME: data };
  return { endpoint, bucket: BUCKET, variables, start, stop, deleteBucket };
}

function environmentOf(name: S3ServerName): 's3-servers' | 'moto' {
  return name === 'moto' ? 'moto' : 's3-servers';
}

function commandOf(name: S3ServerName, python: string, data: string, port: number): [string, string[]] {
  const at = ['--host', '127.0.0.1', '--port', String(port)];
  if (name === 'moto') return [python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)]];
  if (name === 'nanio') return [python, ['-m', 'nanio', 'serve', '--data-dir', data, '--no-access-log', ...at]];
  return [python, ['-c', 'import sys; from localbucket import main; sys.exit(main())', data, ...at]];
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
