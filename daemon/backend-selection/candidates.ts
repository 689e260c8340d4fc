/** Finds the TensorFlow.js backends that may be used here. Looks at files, and runs none of them. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { BACKENDS, type BackendName } from '../../protocol/domain.ts';
import { findTensorFlow, hasBinding } from './tensorflow.ts';

export interface Candidate {
  backend: BackendName;
  threads: number;
  /** Folder of its package; null for a built-in backend, and where it is missing. */
  from: string | null;
  /** Version of that package. */
  version: string;
  /** Package that it needs and that is missing here. */
  missing: string | null;
}

/** Packages that contain a backend. */
export const PACKAGES: Partial<Record<BackendName, string>> = {
  webgpu: 'webgpu',
  'tfjs-node-gpu': '@tensorflow/tfjs-node-gpu',
  'tfjs-node': '@tensorflow/tfjs-node',
};

/** Minimum number of cores for threads: fewer leave none for the data and the checkpoints. */
const MIN_CORES_FOR_THREADS = 4;
const MAX_THREADS = 4;

/**
 * Lists the candidates. `ours` is the folder where "Set up GPU backend" installs. The packages of the project at `root`
 * come first; null: none of a project. `environment` leads to the Pythons that a person uses.
 */
export function findCandidates(root: string | null, ours: string, environment: Record<string, string>): Candidate[] {
  const folders = [...(root === null ? [] : ancestors(root)), ours];
  const cores = availableParallelism();
  return BACKENDS.flatMap((backend): Candidate[] => {
    if (backend === 'tensorflow') {
      const found = hasBinding() ? findTensorFlow(root === null ? [] : ancestors(root), environment, ours) : null;
      const from = found?.folder ?? null;
      return [{ backend, threads: 1, from, version: found?.version ?? '', missing: from ? null : 'tensorflow' }];
    }
    const name = PACKAGES[backend];
    if (name === undefined) {
      const own = { backend, threads: 1, from: null, version: '', missing: null };
      const threads = Math.min(MAX_THREADS, cores >> 1);
      return backend === 'wasm' && cores >= MIN_CORES_FOR_THREADS ? [own, { ...own, threads }] : [own];
    }
    const from = folders.map((folder) => join(folder, 'node_modules', name)).find(isPackage) ?? null;
    return [{ backend, threads: 1, from, version: from ? versionOf(from) : '', missing: from ? null : name }];
  });
}

function ancestors(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}

function isPackage(folder: string): boolean {
  return existsSync(join(folder, 'package.json'));
}

function versionOf(folder: string): string {
  try {
    return String((JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version?: unknown }).version);
  } catch {
    return '';
  }
}
