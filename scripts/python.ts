// Finds a Python with torch, for tests and benchmarks. As root on Debian it is installed if missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { installFromDebian } from './debian.ts';

const PACKAGES = ['python3-torch', 'libopenblas0-pthread'];
/** Packages with a checker of exported models and with the debugger. */
const EXTRAS = { onnx: 'python3-onnx', debugpy: 'python3-debugpy' };

/** Finds a Python with torch; null if there is none and none can be installed. */
export function torchPython(install: boolean): string | null {
  const found = findPython();
  const extras = Object.entries(EXTRAS).filter(([name]) => !found || !canImport(found, name));
  const missing = [...(found ? [] : PACKAGES), ...extras.map(([, packed]) => packed)];
  if (missing.length === 0 || !install) return found;
  installFromDebian(...missing);
  return findPython();
}

function findPython(): string | null {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'python3'));
  const candidates = [process.env.TRAINSTASH_TEST_PYTHON, '/usr/bin/python3', ...onPath];
  return (
    candidates.find(
      (path) => path !== undefined && path !== '' && existsSync(path) && canImport(path, 'torch, numpy'),
    ) ?? null
  );
}

function canImport(python: string, modules: string): boolean {
  return spawnSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0;
}
