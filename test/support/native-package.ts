/**
 * The npm packages that bring TensorFlow's library to TensorFlow.js, in a project of a test: the real ones, with our build of their
 * binding where a test wants it, and packages that are broken in a way of their own.
 */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { tensorflowVariables } from '../../daemon/backend-selection/tensorflow.ts';
import { cacheFolder } from '../../scripts/python-environments.ts';
import { realTensorFlow } from './tensorflow.ts';

export type NativeName = 'tfjs-node' | 'tfjs-node-gpu';

const VERSION = '4.22.0';
const NAMES: readonly NativeName[] = ['tfjs-node', 'tfjs-node-gpu'];
const BINDING = resolve(import.meta.dirname, `../../native/tensorflow/${process.platform}-${process.arch}.node`);

/** A real package can be changed so that it computes one operation wrongly. */
const WRONG = `
const relu = tf.getKernel('Relu', 'tensorflow').kernelFunc;
tf.unregisterKernel('Tanh', 'tensorflow');
tf.registerKernel({ kernelName: 'Tanh', backendName: 'tensorflow', kernelFunc: relu });
`;

const BROKEN = {
  hangs: 'for (;;);',
  crashes: 'console.error("CUDA error: out of memory"); process.abort();',
  registersNothing: 'exports.version = "4.22.0";',
} as const;

/**
 * Finds the packages as npm installs them, without their binding, which their install scripts would download. `make` installs
 * them if they are missing (half a minute, once). Returns the folder of `node_modules`, or null without a network.
 */
export function realPackages(make: boolean): string | null {
  const folder = join(cacheFolder(), `tfjs-node-${VERSION}`);
  if (!existsSync(folder) && make) {
    const temporary = `${folder}.tmp-${process.pid}`;
    mkdirSync(temporary, { recursive: true });
    writeFileSync(join(temporary, 'package.json'), '{ "private": true }\n');
    const words = NAMES.map((name) => `@tensorflow/${name}@${VERSION}`);
    const flags = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const { status } = spawnSync('npm', [...flags, ...words], { cwd: temporary, shell: process.platform === 'win32' });
    // Another test run may have been faster.
    if (status === 0 && !existsSync(folder)) renameSync(temporary, folder);
    rmSync(temporary, { recursive: true, force: true });
  }
  return existsSync(folder) ? join(folder, 'node_modules') : null;
}

/** Returns the variables under which the packages find TensorFlow, or null where they or the library cannot be had. */
export function nativeVariables(): Record<string, string> | null {
  const tensorflow = realTensorFlow();
  return tensorflow && realPackages(false) ? tensorflowVariables(tensorflow.folder, {}) : null;
}

/** Installs a real package in a project. Returns its folder. */
export function installNative(
  project: string,
  name: NativeName,
  { binding = true, wrong = false }: { binding?: boolean; wrong?: boolean } = {},
): string {
  const source = realPackages(false)!;
  const modules = join(project, 'node_modules');
  mkdirSync(join(modules, '@tensorflow'), { recursive: true });
  for (const entry of readdirSync(source)) {
    if (entry.startsWith('.') || entry === '@tensorflow' || existsSync(join(modules, entry))) continue;
    symlinkSync(join(source, entry), join(modules, entry), 'junction');
  }
  const folder = join(modules, '@tensorflow', name);
  cpSync(join(source, '@tensorflow', name), folder, { recursive: true });
  if (binding) {
    mkdirSync(join(folder, 'lib/napi-v8'), { recursive: true });
    cpSync(BINDING, join(folder, 'lib/napi-v8/tfjs_binding.node'));
  }
  if (wrong) appendFileSync(join(folder, 'dist/index.js'), WRONG);
  return folder;
}

/** Writes a package that does nothing but fail, or is never loaded. Returns its folder. */
export function writeBroken(project: string, fault: keyof typeof BROKEN): string {
  const name = '@tensorflow/tfjs-node-gpu';
  const folder = join(project, 'node_modules', name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version: VERSION, main: 'index.js' }));
  writeFileSync(join(folder, 'index.js'), BROKEN[fault]);
  return folder;
}
