/**
 * `npm run binding`: makes native/tensorflow/, the bridge between TensorFlow.js and the TensorFlow that pip installs. `--check`
 * makes it elsewhere and compares digests. The compiler is pinned, so the same bytes come out on any machine.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';

const COMPILER = 'ziglang==0.15.1';
/** Its headers declare TensorFlow's C interface, which has not changed since 2.16. */
const HEADERS = 'tensorflow-cpu==2.21.0';
const SOURCES = '@tensorflow/tfjs-node@4.22.0';
const NODE_HEADERS = 'node-api-headers@1.9.0';
/** Compiler targets: 2.28 is the oldest glibc that VS Code runs on. */
const TARGETS = { 'linux-x64': 'x86_64-linux-gnu.2.28', 'linux-arm64': 'aarch64-linux-gnu.2.28' };
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];

const UNPACK_HEADERS = `
import glob, zipfile
with zipfile.ZipFile(glob.glob("tensorflow*.whl")[0]) as wheel:
    for name in wheel.namelist():
        if name.startswith("tensorflow/include/"):
            wheel.extract(name)
`;

/** Gives the kernels our one TensorFlow.js, the helpers that Node 23 removed, and no protobuf, which only summaries need. */
const PARTS: Plugin = {
  name: 'parts',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@tensorflow\/tfjs(-core)?$/ }, () => ({ path: './tf.cjs', namespace: 'core' }));
    onLoad({ filter: /.*/, namespace: 'core' }, () => ({ contents: "module.exports = require('./tf.cjs').core;" }));
    onResolve({ filter: /^\.\/tf\.cjs$/ }, ({ namespace }) =>
      namespace === 'core' ? { path: './tf.cjs', external: true } : undefined,
    );
    onResolve({ filter: /^util$/ }, () => ({ path: 'util', namespace: 'helpers' }));
    onLoad({ filter: /.*/, namespace: 'helpers' }, () => ({
      contents: 'exports.isArray = Array.isArray; exports.isNullOrUndefined = (value) => value == null;',
    }));
    onResolve({ filter: /\/api_pb$/ }, () => ({ path: 'api_pb', namespace: 'none' }));
    onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'module.exports = {};' }));
  },
};

const folder = resolve(import.meta.dirname, '../native/tensorflow');
const work = mkdtempSync(join(tmpdir(), 'trainstash-binding-'));
try {
  const isCheck = process.argv.includes('--check');
  const target = isCheck ? join(work, 'made') : folder;
  mkdirSync(target, { recursive: true });
  const digests = await make(target);
  const path = join(folder, 'digests.json');
  if (!isCheck) writeFileSync(path, `${JSON.stringify(digests, null, 2)}\n`);
  else if (readFileSync(path, 'utf8') !== `${JSON.stringify(digests, null, 2)}\n`)
    throw new Error(`native/tensorflow/ is not what its sources give: ${JSON.stringify(digests)}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Fills `target`. Returns the SHA-256 of each file. */
async function make(target: string): Promise<Record<string, string>> {
  const python = join(work, 'venv/bin/python');
  run('python3', ['-m', 'venv', join(work, 'venv')]);
  run(python, ['-m', 'pip', 'install', '--quiet', '--no-input', COMPILER]);
  run(python, ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', work, HEADERS]);
  run(python, ['-c', UNPACK_HEADERS], { cwd: work });
  const sources = unpack(SOURCES);
  const headers = unpack(NODE_HEADERS);
  for (const [name, triple] of Object.entries(TARGETS)) compile(python, sources, headers, name, triple, target);
  await bundleKernels(sources, target);
  const names = [...Object.keys(TARGETS).map((name) => `${name}.node`), 'kernels.cjs'];
  return Object.fromEntries(names.map((name) => [name, digestOf(join(target, name))]));
}

function compile(python: string, sources: string, headers: string, name: string, triple: string, target: string): void {
  const zig = (words: string[]) => run(python, ['-m', 'ziglang', ...words], { cwd: work });
  const folder = join(work, name);
  mkdirSync(folder);
  // Stubs with the right names and no symbol versions: the result loads with every TensorFlow 2 whose libraries are called so.
  writeFileSync(join(work, 'stub.c'), 'int trainstash_stub;\n');
  const stubs = LIBRARIES.map((library) => join(folder, library));
  for (const [i, stub] of stubs.entries())
    zig(['cc', '-target', triple, '-shared', '-fPIC', 'stub.c', `-Wl,-soname,${LIBRARIES[i]}`, '-o', stub]);
  const objects = ['tfjs_backend', 'tfjs_binding'].map((unit) => {
    const object = join(folder, `${unit}.o`);
    const flags = ['-std=c++17', '-O2', '-fPIC', '-w', '-g0', '-DNAPI_VERSION=8', `-ffile-prefix-map=${work}=.`];
    const include = [join(headers, 'include'), join(work, 'tensorflow/include'), sources].flatMap((path) => [
      '-I',
      path,
    ]);
    zig(['c++', '-target', triple, ...flags, ...include, '-c', join(sources, `binding/${unit}.cc`), '-o', object]);
    return object;
  });
  zig([
    ...['c++', '-target', triple, '-s', '-shared', '-fPIC'],
    // Before the stubs, which define nothing that is used and would be left out.
    ...['-Wl,--no-as-needed', ...stubs, ...objects],
    ...['-Wl,-z,lazy', '-Wl,--allow-shlib-undefined', '-Wl,-soname,tfjs_binding.node'],
    ...['-o', join(target, `${name}.node`)],
  ]);
}

/** The JavaScript half, from its TypeScript sources: upstream publishes ES5, whose classes cannot extend ours. */
async function bundleKernels(sources: string, target: string): Promise<void> {
  await build({
    absWorkingDir: sources,
    stdin: {
      resolveDir: join(sources, 'src'),
      contents: "import './register_all_kernels'; export { NodeJSKernelBackend } from './nodejs_kernel_backend';",
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    outfile: join(target, 'kernels.cjs'),
    legalComments: 'none',
    logLevel: 'error',
    banner: { js: '// @tensorflow/tfjs-node 4.22.0, Apache-2.0. Made by scripts/tensorflow-binding.ts.' },
    plugins: [PARTS],
  });
}

/** Fetches a package of npm. Returns its folder. */
function unpack(name: string): string {
  const file = run('npm', ['pack', name, '--silent'], { cwd: work }).trim().split('\n').at(-1)!;
  const into = join(work, file.replace(/\.tgz$/, ''));
  mkdirSync(into);
  run('tar', ['-xzf', file, '-C', into, '--strip-components=1'], { cwd: work });
  if (!existsSync(join(into, 'package.json'))) throw new Error(`${name} holds no package`);
  return into;
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function run(program: string, words: string[], options: { cwd?: string } = {}): string {
  const ended = spawnSync(program, words, { encoding: 'utf8', ...options });
  if (ended.status === 0) return ended.stdout;
  const text = ended.stderr || String(ended.error ?? '');
  throw new Error(`\`${program} ${words.slice(0, 4).join(' ')}\` failed: ${text.trim().slice(-2000)}`);
}
