/**
 * `npm run demo -- --editor`: opens the digits project in VS Code with the extension. It uses this machine's VS Code if `code` is on
 * the PATH, else code-server in a browser. Nothing is started without being asked for.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { codeServer } from './editor.ts';
import { packExtension } from './vsix.ts';

const PORT = 8420;

export async function demoInEditor(cache: string, makeProject: (folder: string) => void): Promise<void> {
  const folder = join(cache, 'digits');
  if (!existsSync(folder)) makeProject(folder);
  const vsix = await packExtension();
  const code = codeOnPath();
  if (code) {
    run(code, ['--install-extension', vsix, '--force']);
    run(code, ['--new-window', folder]);
    console.log(`\nVS Code opens ${folder}. Trainstash is in the activity bar: Runs → ▷ runs the job "digits".`);
    return;
  }
  const server = codeServer();
  const profile = join(cache, 'profile');
  mkdirSync(join(profile, 'data/User'), { recursive: true });
  const settings = join(profile, 'data/User/settings.json');
  if (!existsSync(settings))
    writeFileSync(settings, JSON.stringify({ 'workbench.startupEditor': 'none', 'chat.disableAIFeatures': true }));
  const common = [
    server,
    '--accept-server-license-terms',
    ...['--server-data-dir', join(profile, 'server'), '--user-data-dir', join(profile, 'data')],
    ...['--extensions-dir', join(profile, 'extensions')],
  ];
  const env = { ...process.env, EXTENSIONS_GALLERY: '{}', TRAINSTASH_STATE: join(cache, 'state') };
  const installed = spawnSync(process.execPath, [...common, '--install-extension', vsix, '--force'], { env });
  if (installed.status !== 0) throw new Error(`code-server could not install the extension: ${installed.stderr}`);
  // The address carries a token, since other users of this machine can reach the port too.
  const token = crypto.randomUUID();
  const log = openSync(join(cache, 'editor.log'), 'w');
  const child = spawn(
    process.execPath,
    [...common, '--host', '127.0.0.1', '--port', String(PORT), '--connection-token', token, '--telemetry-level', 'off'],
    { env, stdio: ['ignore', log, log] },
  );
  console.log(`\nOpen http://127.0.0.1:${PORT}/?tkn=${token}&folder=${encodeURIComponent(folder)}`);
  console.log('Trainstash is in the activity bar: Runs → ▷ runs the job "digits". Ctrl-C ends the editor;');
  console.log(`trainings continue. All files are in ${cache}.`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill());
  await new Promise((done) => child.once('exit', done));
}

function codeOnPath(): string | undefined {
  const names = process.platform === 'win32' ? ['code.cmd'] : ['code'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

function run(program: string, args: string[]): void {
  const { status } = spawnSync(program, args, { stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed`);
}
