/** The suite of `test/host`, ready for an extension host: bundled, with a project to work on. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { type Fixture, makeFixture, SMALL_JOB } from './daemon.ts';
import { PYTHON } from './python.ts';
import { packSmallExtension } from './small-extension.ts';

export interface HostSuite {
  fixture: Fixture;
  /** Folder of an extension that does nothing: a suite runs beside one under development. */
  extension: string;
  tests: string;
  /** Packages to install beside ours. */
  others: string[];
  passing: number;
}

export async function makeHostSuite(): Promise<HostSuite> {
  const jobs = { small: SMALL_JOB, ...(PYTHON ? { scripted: SCRIPTED } : {}) };
  const fixture = makeFixture({ config: { jobs } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  const extension = join(fixture.folder, 'beside');
  mkdirSync(extension);
  writeFileSync(
    join(extension, 'package.json'),
    JSON.stringify({ name: 'beside', publisher: 'trainstash-test', version: '1.0.0', engines: { vscode: '^1.101.0' } }),
  );
  const tests = join(extension, 'suite.js');
  await build({
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    entryPoints: [resolve(import.meta.dirname, '../host/suite.ts')],
    outfile: tests,
    external: ['vscode'],
    mainFields: ['module', 'main'],
    logLevel: 'warning',
    // Not bundled, since it finds its reporters by path.
    plugins: [
      {
        name: 'mocha',
        setup: (made) =>
          made.onResolve({ filter: /^mocha$/ }, () => ({
            path: resolve(import.meta.dirname, '../../node_modules/mocha/index.js'),
            external: true,
          })),
      },
    ],
  });
  const others = PYTHON ? [await packDebugger(fixture.folder)] : [];
  return { fixture, extension, tests, others, passing: PYTHON ? 13 : 11 };
}

/** Job with a script that saves by itself, and a command to resume it. */
const SCRIPTED = {
  run: [PYTHON, 'train.py', '--epochs', '3'],
  resume: [PYTHON, 'train.py', '--epochs', '3', '--resume', '${checkpoint}'],
};
const SCRIPT = `
import os, sys, zipfile
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
start = 0
if '--resume' in args:
    with zipfile.ZipFile(args['--resume']) as z: start = int(z.read('archive/data.pkl')) + 1
os.makedirs('out', exist_ok=True)
for epoch in range(start, int(args['--epochs'])):
    print(f'trainstash step={(epoch + 1) * 100} epoch={epoch} loss={1 / (epoch + 1)}', flush=True)
    with zipfile.ZipFile(f'out/ckpt_epoch_{epoch:04d}.pt', 'w') as z: z.writestr('archive/data.pkl', str(epoch))
`;

/** Packs a substitute for Microsoft's Python Debugger, which only its own registry has, around the debugger that is in it. */
function packDebugger(folder: string): Promise<string> {
  const path = spawnSync(PYTHON, ['-c', 'import debugpy; print(debugpy.__path__[0])'], { encoding: 'utf8' });
  const manifest = {
    name: 'debugpy',
    publisher: 'ms-python',
    activationEvents: ['onDebugResolve:debugpy'],
    contributes: { debuggers: [{ type: 'debugpy', label: 'Python Debugger' }], breakpoints: [{ language: 'python' }] },
  };
  const source = `
const vscode = require('vscode');
exports.activate = (context) => {
  const createDebugAdapterDescriptor = ({ configuration: { connect } }) =>
    new vscode.DebugAdapterServer(connect.port, connect.host);
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory('debugpy', { createDebugAdapterDescriptor }),
  );
  return { debug: { getDebuggerPackagePath: async () => ${JSON.stringify(path.stdout.trim())} } };
};`;
  return packSmallExtension(folder, manifest, source);
}
