/** Loads the user's training module with the single copy of TensorFlow.js behind its imports. */
import { existsSync, readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compileFunction } from 'node:vm';
import { TrainstashError } from '../protocol/errors.ts';
import { tfDirectory } from './tf.ts';
import type { Training } from './training.ts';

const REDIRECTED: Record<string, string> = {
  '@tensorflow/tfjs': 'union.mjs',
  '@tensorflow/tfjs-core': 'core.mjs',
  '@tensorflow/tfjs-layers': 'layers.mjs',
  // Importing a backend registers it: the built-in ones are registered already.
  '@tensorflow/tfjs-backend-cpu': 'empty.mjs',
  '@tensorflow/tfjs-backend-wasm': 'empty.mjs',
  '@tensorflow/tfjs-backend-webgpu': 'empty.mjs',
  // If one of these is the backend, its additions to the union are loaded before.
  '@tensorflow/tfjs-node': 'union.mjs',
  '@tensorflow/tfjs-node-gpu': 'union.mjs',
};
let isInstalled = false;

/** Redirects all later imports to the built-in copy. */
export function useBuiltInTensorflow(): void {
  if (isInstalled) return;
  isInstalled = true;
  registerHooks({
    resolve: (specifier, context, next) => {
      const replacement = REDIRECTED[specifier];
      if (replacement) return { url: pathToFileURL(join(tfDirectory, 'tf', replacement)).href, shortCircuit: true };
      return next(specifier, context);
    },
    load: (url, context, next) => next(url, { ...context, format: formatOf(url, context.format) }),
  });
}

/**
 * Returns the format to load a file of the user as. `npm init` writes `"type": "commonjs"`, under which Node refuses the
 * `export` of every guide; a file that is no CommonJS is loaded as the ES module that it is.
 */
function formatOf(url: string, format: string | null | undefined): string | null | undefined {
  const esModule = format === 'commonjs' ? 'module' : format === 'commonjs-typescript' ? 'module-typescript' : null;
  if (esModule === null || !url.startsWith('file:') || url.includes('/node_modules/')) return format;
  const path = fileURLToPath(url);
  if (/\.c[jt]s$/.test(path)) return format;
  try {
    const source = readFileSync(path, 'utf8');
    const code = esModule === 'module' ? source : stripTypeScriptTypes(source);
    compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname']);
    return format;
  } catch {
    // A file that is broken either way is reported as the module that it was meant to be.
    return esModule;
  }
}

/** Loads a module; `file` is relative to `cwd`. Throws `moduleInvalid` with file, line and what to do. */
export async function loadTraining(cwd: string, file: string): Promise<Training> {
  const path = resolve(cwd, file);
  if (!existsSync(path)) throw invalid(path, 'there is no such file');
  useBuiltInTensorflow();
  let module: Record<string, unknown>;
  try {
    module = await import(pathToFileURL(path).href);
  } catch (error) {
    throw explain(error, path);
  }
  return check((module.default ?? module) as Partial<Training>, path);
}

function check(training: Partial<Training>, path: string): Training {
  const needed: (keyof Training)[] = ['params', 'data', 'model', 'optimizer', 'epochs', 'batchSize'];
  const missing = needed.filter((key) => training[key] === undefined);
  if (training.loss === undefined && training.step === undefined) missing.push('loss');
  if (missing.length > 0) throw invalid(path, `it does not export ${missing.join(', ')}`);
  for (const key of ['data', 'model', 'optimizer'] as const) {
    if (typeof training[key] !== 'function') throw invalid(path, `\`${key}\` must be a function`);
  }
  return training as Training;
}

function explain(error: unknown, path: string): TrainstashError {
  const { code, message, stack } = error as NodeJS.ErrnoException;
  const location = userLine(stack ?? '', path);
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    const what = /enum/.test(message) ? 'an `enum`' : 'syntax that is more than types';
    return invalid(
      location.file,
      `it uses ${what}, which Node cannot run by stripping types: use a const object instead (${firstLine(message)})`,
      location.line,
    );
  }
  if (code === 'ERR_MODULE_NOT_FOUND') {
    const wanted = /Cannot find (?:module|package) '([^']+)'/.exec(message)?.[1] ?? '';
    const asPath = wanted.startsWith('file:') ? fileURLToPath(wanted) : wanted;
    const withTs = asPath.replace(/\.js$/, '');
    if (existsSync(`${withTs}.ts`))
      return invalid(
        location.file,
        `it imports "${asPath}", but the file is "${withTs}.ts": write the extension .ts in the import`,
        location.line,
      );
    return invalid(location.file, `it imports "${asPath}", which does not exist`, location.line);
  }
  return invalid(location.file, firstLine(message ?? String(error)), location.line);
}

/** Finds the first line in the stack that is the user's own code. */
function userLine(stack: string, path: string): { file: string; line?: number } {
  for (const [, file, line] of stack.matchAll(/((?:file:\/\/)?\/[^\s():]+|file:\/\/\/[A-Za-z]:[^\s():]+):(\d+)/g)) {
    const local = file!.startsWith('file:') ? fileURLToPath(file!) : file!;
    if (!local.startsWith(tfDirectory)) return { file: local, line: Number(line) };
  }
  return { file: path };
}

function invalid(file: string, problem: string, line?: number): TrainstashError {
  const at = line === undefined ? file : `${file}:${line}`;
  return new TrainstashError('moduleInvalid', `${at} cannot be used: ${problem}. No training was started.`, {
    file,
    line,
    problem,
  });
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.trim();
}
