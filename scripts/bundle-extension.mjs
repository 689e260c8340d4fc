// The extension's part of dist/: what the extension host loads, and the pages' bundles.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, transform } from 'esbuild';
import { withSourceRoot } from './source-maps.mjs';

/** Writes `dist/extension/`. Returns esbuild's metafiles, from which the licences of what is inside are listed. */
export async function bundleExtension(root, define) {
  const folder = join(root, 'dist/extension');
  mkdirSync(folder, { recursive: true });
  const shared = { bundle: true, metafile: true, absWorkingDir: root, logLevel: 'warning', legalComments: 'none' };
  const pages = await build({
    ...shared,
    platform: 'browser',
    format: 'iife',
    target: 'es2023',
    entryPoints: {
      checkpoint: 'webview-ui/checkpoint/checkpoint.tsx',
      dashboard: 'webview-ui/dashboard/dashboard.tsx',
      diff: 'webview-ui/diff/diff.tsx',
      run: 'webview-ui/run/run.tsx',
      enter: 'webview-ui/browser/enter.ts',
      shell: 'webview-ui/browser/shell.ts',
      browser: 'webview-ui/browser/browser.css',
      style: 'webview-ui/style.css',
    },
    outdir: join(folder, 'pages'),
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
  });
  const host = await build({
    ...shared,
    splitting: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    entryPoints: ['extension/extension.ts'],
    outdir: folder,
    outExtension: { '.js': '.cjs' },
    external: ['vscode'],
    mainFields: ['module', 'main'],
    sourcemap: 'linked',
    sourcesContent: false,
    define,
  });
  const files = new Map(host.outputFiles.map(({ path, text }) => [path, text]));
  for (const [path, text] of files)
    if (path.endsWith('.cjs')) await writeCommonJs(path, text, files.get(`${path}.map`));
  return [pages.metafile, host.metafile];
}

/**
 * Turns one ES module into CommonJS. esbuild splits ES modules only, and VS Code loads an extension that is an ES module
 * asynchronously, behind everything else that starts with the window: `editor.activation` shows it.
 */
async function writeCommonJs(path, text, map) {
  // The plain object: esbuild's own interop would copy all names of `vscode` once for each of 24 modules. On the same line,
  // so that the map stays true.
  const own = text.replaceAll(/^import \* as (\w+) from "vscode";$/gm, 'const $1 = require("vscode");');
  const inline = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString('base64')}`;
  const result = await transform(`${own.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '')}\n${inline}\n`, {
    sourcefile: path,
    format: 'cjs',
    platform: 'node',
    target: 'node22',
    supported: { 'dynamic-import': false },
    minify: true,
    // Names in stack traces.
    keepNames: true,
    legalComments: 'none',
    sourcemap: 'external',
    sourcesContent: false,
  });
  const name = path.slice(path.lastIndexOf('/') + 1);
  writeFileSync(path, `${result.code}//# sourceMappingURL=${name}.map\n`);
  writeFileSync(`${path}.map`, withSourceRoot(result.map));
}
