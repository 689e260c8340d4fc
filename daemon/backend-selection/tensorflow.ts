/** Finds the TensorFlow that pip installed for Python, whose library our binding loads. Looks at files, and runs none of them. */
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { namesIn } from '../../base/files.ts';

export interface TensorFlow {
  /** Folder with the libraries: `…/site-packages/tensorflow`. */
  folder: string;
  /** Version in the name of its `dist-info` folder; empty where there is none. */
  version: string;
}

const LIBRARY = 'libtensorflow_cc.so.2';
/** Names of virtual environments in a project. */
const PROJECT_ENVIRONMENTS = ['.venv', 'venv', 'env', '.env', '.conda'];
const DISTRIBUTION =
  /^tensorflow(?:[_-](?:cpu|gpu|intel|rocm|aarch64|cpu_aws))?-(?<version>\d+\.\d+[^-]*)\.dist-info$/i;

/** Platforms that a binding is shipped for. */
export function hasBinding(platform: NodeJS.Platform = process.platform, arch: string = process.arch): boolean {
  return platform === 'linux' && (arch === 'x64' || arch === 'arm64');
}

/**
 * Returns the first TensorFlow of these: the environments in the project's folders (nearest first), the active environment,
 * the Pythons on the PATH, and the one that `trainstash backend install` made in `ours`.
 */
export function findTensorFlow(
  folders: readonly string[],
  environment: Record<string, string>,
  ours: string,
): TensorFlow | null {
  const { VIRTUAL_ENV, CONDA_PREFIX, PATH = '', HOME } = environment;
  const prefixes = [
    ...folders.flatMap((folder) => PROJECT_ENVIRONMENTS.map((name) => join(folder, name))),
    ...[VIRTUAL_ENV, CONDA_PREFIX].filter((prefix) => prefix !== undefined && prefix !== ''),
    ...PATH.split(delimiter)
      .filter((bin) => bin !== '' && ['python3', 'python'].some((name) => existsSync(join(bin, name))))
      .map(dirname),
    ...(HOME ? [join(HOME, '.local')] : []),
    environmentOfOurs(ours),
  ];
  for (const prefix of new Set(prefixes)) {
    const found = inPrefix(prefix!);
    if (found) return found;
  }
  return null;
}

/** Returns the virtual environment that `trainstash backend install tensorflow` makes. */
export function environmentOfOurs(ours: string): string {
  return join(ours, 'tensorflow');
}

/**
 * Returns the variables that TensorFlow reads when it starts. Those that a person has set win; all are recorded with each
 * checkpoint, since they change bits.
 */
export function tensorflowVariables(folder: string, environment: Record<string, string>): Record<string, string> {
  const { LD_LIBRARY_PATH } = environment;
  return {
    // Unless memory grows on demand, TensorFlow takes the whole GPU at once, also from other processes.
    TF_FORCE_GPU_ALLOW_GROWTH: environment.TF_FORCE_GPU_ALLOW_GROWTH ?? 'true',
    TF_DETERMINISTIC_OPS: environment.TF_DETERMINISTIC_OPS ?? '1',
    TF_ENABLE_ONEDNN_OPTS: environment.TF_ENABLE_ONEDNN_OPTS ?? '1',
    TF_CPP_MIN_LOG_LEVEL: environment.TF_CPP_MIN_LOG_LEVEL ?? '2',
    LD_LIBRARY_PATH: LD_LIBRARY_PATH ? `${folder}${delimiter}${LD_LIBRARY_PATH}` : folder,
  };
}

function inPrefix(prefix: string): TensorFlow | null {
  for (const lib of ['lib', 'lib64'])
    for (const python of namesIn(join(prefix, lib)).filter((name) => /^python3(\.\d+)?$/.test(name)))
      for (const packages of ['site-packages', 'dist-packages']) {
        const path = join(prefix, lib, python, packages);
        const folder = join(path, 'tensorflow');
        if (!existsSync(join(folder, LIBRARY))) continue;
        const version = namesIn(path).flatMap((name) => DISTRIBUTION.exec(name)?.groups?.version ?? [])[0];
        return { folder, version: version ?? '' };
      }
  return null;
}
