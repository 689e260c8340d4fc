/** Keys of encrypted remotes: one line of text, in a file or in the keyring of the system. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Variables } from './drivers/s3-credentials.ts';
import { KEY_BYTES, SealKeys } from './drivers/sealed.ts';

const HEAD = 'trainstash-key-1';
const LINE = new RegExp(`^${HEAD} ([A-Za-z0-9+/]{43}=)\\s*$`);
const ATTRIBUTE = 'trainstash-remote';

/** Place of a key: a file, or the keyring; with the value by which the right one is recognised. */
export type KeyPlace = { kind: 'file'; path: string; check: string } | { kind: 'keyring'; check: string };

export function newKey(): string {
  return `${HEAD} ${randomBytes(KEY_BYTES).toString('base64')}`;
}

export function parseKey(remote: string, text: string, from: string): SealKeys {
  const base64 = LINE.exec(text)?.[1];
  if (!base64) throw sealed(remote, `${from} has no key of Trainstash in it: one line that begins with ${HEAD}`);
  return new SealKeys(Buffer.from(base64, 'base64'));
}

/** Reads a key file; null: there is none. */
export function readKeyFile(remote: string, path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw sealed(remote, `the key file ${path} cannot be read (${(error as Error).message})`);
  }
}

/** Writes a new key file, which only its owner can read. Never replaces one. */
export function writeKeyFile(remote: string, path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, `${text}\n`, { flag: 'wx', mode: 0o600, flush: true });
  } catch (error) {
    throw sealed(remote, `the key file ${path} cannot be written (${(error as Error).message})`);
  }
}

/** Returns the absolute path of a key file that a user names. */
export function keyPath(path: string, folder: string): string {
  if (path.startsWith('~/')) return join(homedir(), path.slice(2));
  return isAbsolute(path) ? path : join(folder, path);
}

/** Loads the key of a remote. Rejects with `remoteSealed` if it is not there, or is another one. */
export async function loadKey(remote: string, id: string, place: KeyPlace, variables: Variables): Promise<SealKeys> {
  const text = await keyText(remote, id, place, variables);
  const keys = parseKey(remote, text, place.kind === 'file' ? place.path : 'the keyring');
  if (keys.check !== place.check) throw wrongKey(remote, place.kind === 'file' ? place.path : 'the keyring');
  return keys;
}

export async function keyText(remote: string, id: string, place: KeyPlace, variables: Variables): Promise<string> {
  if (place.kind === 'file') {
    const text = readKeyFile(remote, place.path);
    if (text === null) throw sealed(remote, `its key file ${place.path} is not there`);
    return text;
  }
  const text = await fromKeyring(id, variables);
  if (text === null) throw sealed(remote, 'the keyring has no key for it, or is locked');
  return text;
}

/** Asks the keyring for the key of a remote; null: it has none, it is locked, or there is no keyring. */
export async function fromKeyring(id: string, variables: Variables): Promise<string | null> {
  const words =
    process.platform === 'darwin'
      ? ['security', 'find-generic-password', '-s', `${ATTRIBUTE}-${id}`, '-w']
      : ['secret-tool', 'lookup', ATTRIBUTE, id];
  const { code, output } = await run(words, '', variables);
  return code === 0 && output.trim() !== '' ? output : null;
}

/** Puts a key into the keyring. Rejects with `remoteSealed` where there is none. */
export async function toKeyring(remote: string, id: string, text: string, variables: Variables): Promise<void> {
  if (process.platform === 'win32')
    throw sealed(remote, 'Trainstash does not use the keyring of Windows; keep the key in a file with --key FILE');
  const label = `Trainstash: key of the remote ${remote}`;
  const { code, output } =
    process.platform === 'darwin'
      ? // The key on standard input, and not among the words, which everybody on the machine can read.
        await run(
          ['security', '-i'],
          `add-generic-password -U -a trainstash -s ${ATTRIBUTE}-${id} -w "${text}"\n`,
          variables,
        )
      : await run(['secret-tool', 'store', `--label=${label}`, ATTRIBUTE, id], text, variables);
  if (code === 0 && (await fromKeyring(id, variables))?.trim() === text) return;
  const reason = code === null ? 'secret-tool is not installed' : output.trim() || 'it is locked, or there is none';
  throw sealed(remote, `the keyring does not take its key (${reason}); keep it in a file with --key FILE`);
}

async function run(
  [program, ...words]: string[],
  input: string,
  variables: Variables,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...variables };
    const child = spawn(program!, words, { stdio: ['pipe', 'pipe', 'pipe'], env, windowsHide: true, timeout: 30_000 });
    let output = '';
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString('utf8');
    });
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString('utf8');
    });
    child.stdin.on('error', () => {});
    child.once('error', () => resolve({ code: null, output: said }));
    child.once('close', (code) => resolve({ code: code ?? 1, output: code === 0 ? output : said }));
    child.stdin.end(input);
  });
}

export function sealed(remote: string, reason: string): TrainstashError<'remoteSealed'> {
  return new TrainstashError(
    'remoteSealed',
    `The remote ${remote} is encrypted, and its key cannot be used: ${reason}. Nothing was read or sent. \`trainstash remote key ${remote}\`, on a machine that has the key, prints it; \`remote add … --key FILE\` uses it here.`,
    { remote, reason },
  );
}

export function wrongKey(remote: string, from: string): TrainstashError<'remoteSealed'> {
  return sealed(remote, `${from} has the key of another remote`);
}
