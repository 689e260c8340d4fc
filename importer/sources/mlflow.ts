/** MLflow's file store: `mlruns/<experiment>/<run>/` with `meta.yaml`, `metrics/`, `params/` and `tags/`. */
import type { ReadRun } from '../../protocol/imports.ts';
import { checkpointsIn } from '../checkpoints.ts';
import type { Points } from '../points.ts';
import { type Candidate, type Source, type Surroundings, stampOf } from '../source.ts';
import { linesOf, plain, readSmall, readYaml } from '../text.ts';
import { allFiles, below, type Folder, type FoundFile, fileIn } from '../walk.ts';

const ONE_VALUE_BYTES = 64 << 10;
/** Statuses as its enumeration numbers them, and by name. */
const OUTCOMES: Record<string, ReadRun['outcome']> = {
  3: 'completed',
  FINISHED: 'completed',
  4: 'failed',
  FAILED: 'failed',
  5: 'stopped',
  KILLED: 'stopped',
};

export const mlflow: Source = {
  tool: 'MLflow',
  find(folder, surroundings) {
    const experiments = folder.folders.filter((one) => isExperiment(one));
    if (experiments.length === 0) return isExperiment(folder) ? found(folder, surroundings) : null;
    const runs = experiments.flatMap((one) => runsOf(one, surroundings));
    return { runs, taken: experiments, all: false };
  },
};

function found(folder: Folder, surroundings: Surroundings) {
  return { runs: runsOf(folder, surroundings), taken: folder.folders, all: true };
}

function isRun(folder: Folder): boolean {
  return fileIn(folder, 'meta.yaml') !== undefined && (!!below(folder, 'metrics') || !!below(folder, 'params'));
}

function isExperiment(folder: Folder): boolean {
  return fileIn(folder, 'meta.yaml') !== undefined && folder.folders.some(isRun);
}

function runsOf(experiment: Folder, { tell }: Surroundings): Candidate[] {
  const meta = readYaml(fileIn(experiment, 'meta.yaml')!.path);
  const job = typeof meta?.name === 'string' && meta.name !== '' ? meta.name : experiment.name;
  return experiment.folders.filter(isRun).map((folder) => {
    const artifacts = below(folder, 'artifacts');
    return {
      key: `MLflow:${folder.name}`,
      job,
      name: readTag(folder, 'mlflow.runName') ?? folder.name,
      path: folder.path,
      stamp: stampOf(allFiles(folder)),
      checkpoints: artifacts ? checkpointsIn(artifacts, tell) : [],
      read: (points) => readRun(folder, points),
    };
  });
}

function readRun(folder: Folder, points: Points): Partial<ReadRun> {
  const meta = readYaml(fileIn(folder, 'meta.yaml')!.path) ?? {};
  for (const [name, { path }] of named(below(folder, 'metrics'))) readMetric(path, name, points);
  const params = [...named(below(folder, 'params'))].map(([name, { path }]) => [
    name,
    paramOf(readSmall(path, ONE_VALUE_BYTES) ?? ''),
  ]);
  const commit = readTag(folder, 'mlflow.source.git.commit');
  return {
    params: plain(Object.fromEntries(params)),
    note: (readTag(folder, 'mlflow.note.content') ?? '').slice(0, 1_000),
    startedAt: timeOf(meta.start_time),
    endedAt: timeOf(meta.end_time),
    outcome: OUTCOMES[String(meta.status)] ?? 'lost',
    ...(commit && /^[0-9a-f]{40}$/.test(commit) ? { commit } : {}),
  };
}

/** Lines are `timestamp value step`. */
function readMetric(path: string, name: string, points: Points): void {
  for (const line of linesOf(path)) {
    if (line === '') continue;
    const [time, value, step = '0'] = line.split(' ');
    const number = Number(value === 'nan' ? 'NaN' : value?.replace(/^(-?)inf$/, '$1Infinity'));
    if (value === undefined || (Number.isNaN(number) && !/^nan$/i.test(value))) points.leftOut++;
    else points.add(name, Number(step), number, Number(time));
  }
}

/** Yields the files of a folder by their names in it: MLflow makes folders of slashes. */
function* named(folder: Folder | undefined): Generator<[string, FoundFile]> {
  if (!folder) return;
  for (const file of allFiles(folder)) yield [file.path.slice(folder.path.length + 1).replaceAll('\\', '/'), file];
}

function readTag(folder: Folder, name: string): string | null {
  const file = fileIn(below(folder, 'tags'), name);
  return file ? readSmall(file.path, ONE_VALUE_BYTES) : null;
}

/** Params are texts: those of numbers and truth values become what they were. */
export function paramOf(text: string): string | number | boolean {
  if (/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text))) return Number(text);
  return text === 'True' ? true : text === 'False' ? false : text;
}

export function outcomeOf(status: unknown): ReadRun['outcome'] {
  return OUTCOMES[String(status)] ?? 'lost';
}

function timeOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;
}
