/** Takes runs of other tools into a project: each once, and what is new of it later. */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import type { FoundCheckpoint, FoundRun, ImporterRequest, ImportProblem, ReadRun } from '../../protocol/imports.ts';
import { type ImportPlan, type ImportReport, type ImportState, MOST_LISTED } from '../../protocol/messages/import.ts';
import { bytes as bytesText } from '../../protocol/words.ts';
import { trainingEnvironment } from '../../session/launch.ts';
import type { OpenProject } from '../runs/project.ts';
import { cancelled } from '../tensors/client.ts';
import { askImporter } from './importer.ts';
import { type KnownImport, KnownImports, nameOfCheckpoint } from './known.ts';
import { headOf, type Prepared, prepareRun, takeRuns } from './take.ts';

/** Folder of the store for files that the importer writes. */
const IMPORT_FOLDER = 'importing';
const MOST_PROBLEMS = 100;
/** Runs that are stored in one transaction. */
const AT_ONCE = 50;

export interface ImportOptions {
  paths: readonly string[];
  metricsOnly: boolean;
  job?: string | undefined;
  /** Pythons that may have the package of a tool, and their variables. */
  pythons: readonly string[];
  environment: Readonly<Record<string, string>>;
}

/** Calls of a request that takes long. */
interface Task {
  signal: AbortSignal;
  progress(done: number, total: number): void;
}

interface Pending {
  found: FoundRun;
  state: ImportState;
  /** Run that it was imported as. */
  run: Run | null;
  /** Checkpoints that were not taken yet. */
  checkpoints: FoundCheckpoint[];
}

export class Imports {
  readonly #project: OpenProject;
  readonly #entry: string;
  readonly #known: KnownImports;

  /** `entry`: the bundle of the importer's process. */
  constructor(project: OpenProject, entry: string) {
    this.#project = project;
    this.#entry = entry;
    this.#known = new KnownImports(project.place.store);
    // A daemon that was killed leaves what its importer had written.
    rmSync(join(project.place.store, IMPORT_FOLDER), { recursive: true, force: true });
  }

  async plan(options: Omit<ImportOptions, 'metricsOnly'>, task: Task): Promise<ImportPlan> {
    const { pending, problems, files } = await this.#find({ ...options, metricsOnly: false }, task);
    const counts = { new: 0, grown: 0, same: 0, trashed: 0 };
    for (const { state } of pending) counts[state]++;
    const wanted = pending.filter(isWanted);
    return {
      runs: pending.slice(0, MOST_LISTED).map(({ found, state, checkpoints }) => ({
        tool: found.tool,
        job: found.job,
        name: found.name,
        path: found.path,
        state,
        checkpoints: checkpoints.length,
        bytes: bytesOf(checkpoints),
      })),
      counts,
      checkpoints: wanted.reduce((sum, { checkpoints }) => sum + checkpoints.length, 0),
      bytes: wanted.reduce((sum, { checkpoints }) => sum + bytesOf(checkpoints), 0),
      roomBytes: await this.#room(),
      files,
      problems: problems.slice(0, MOST_PROBLEMS),
    };
  }

  /** Rejects with `storeFull` when the checkpoints do not fit below the quota; then nothing was taken. */
  async run(options: ImportOptions, task: Task): Promise<ImportReport> {
    const { pending, problems } = await this.#find(options, task);
    const wanted = pending.filter(isWanted);
    const neededBytes = wanted.reduce((sum, { checkpoints }) => sum + bytesOf(checkpoints), 0);
    const freeBytes = await this.#room();
    if (neededBytes > freeBytes) throw noRoom(neededBytes, freeBytes);
    const report: ImportReport = {
      runs: [],
      counts: { added: 0, updated: 0, points: 0, checkpoints: 0, leftOut: 0 },
      problems,
    };
    await this.#take(wanted, options, task, report);
    report.problems = report.problems.slice(0, MOST_PROBLEMS);
    return report;
  }

  async #find(options: ImportOptions, { signal }: Task) {
    const { metricsOnly } = options;
    const pending: Pending[] = [];
    const problems: ImportProblem[] = [];
    let files = 0;
    await this.#withFolder(async (out) => {
      for await (const said of askImporter(this.#entry, this.#requestOf(options, null, out), signal)) {
        if (said.say === 'found') pending.push(await this.#pendingOf(said.run, metricsOnly));
        else if (said.say === 'problem') problems.push({ path: said.path, problem: said.problem });
        else if (said.say === 'done') files = said.files;
      }
    });
    if (signal.aborted) throw cancelled();
    return { pending, problems, files };
  }

  #requestOf({ paths, pythons, environment }: ImportOptions, keys: string[] | null, out: string): ImporterRequest {
    // A folder of its own: Python looks for modules beside a script first.
    const aimReader = join(dirname(this.#entry), 'importer', 'aim_reader.py');
    const python = { programs: [...pythons], aimReader, environment: trainingEnvironment({ ...environment }) };
    return { paths: [...paths], keys, out, python };
  }

  async #pendingOf(found: FoundRun, metricsOnly: boolean): Promise<Pending> {
    const known = this.#known.get(found.key);
    const run = known ? ((await this.#project.store.run(known.run)) ?? null) : null;
    const taken = new Set(run ? known?.checkpoints : []);
    const missing = found.checkpoints.filter((one) => !taken.has(nameOfCheckpoint(one)));
    const checkpoints = metricsOnly ? [] : missing;
    return { found, run, checkpoints, state: stateOf(found, known, run, checkpoints) };
  }

  async #take(wanted: readonly Pending[], options: ImportOptions, task: Task, report: ImportReport): Promise<void> {
    const byKey = new Map(wanted.map((one) => [one.found.key, one]));
    const head = await headOf(this.#project);
    let batch: Prepared[] = [];
    let done = 0;
    const storeBatch = async () => {
      const prepared = batch;
      batch = [];
      done += prepared.length;
      await this.#storeBatch(prepared, options, report);
      task.progress(done, wanted.length);
    };
    await this.#withFolder(async (out) => {
      const request = this.#requestOf(options, [...byKey.keys()], out);
      for await (const said of askImporter(this.#entry, request, task.signal)) {
        if (said.say === 'problem') report.problems.push({ path: said.path, problem: said.problem });
        const one = said.say === 'read' ? byKey.get(said.key) : undefined;
        if (said.say !== 'read' || !one || !said.file.startsWith(out)) continue;
        try {
          batch.push(prepareRun(this.#project, { ...one, file: said.file, facts: said.facts, ...options }, head));
        } catch (error) {
          report.problems.push({ path: one.found.path, problem: (error as Error).message });
        }
        if (batch.length >= AT_ONCE) await storeBatch();
      }
      if (batch.length > 0) await storeBatch();
    });
    report.problems = unique(report.problems);
    if (task.signal.aborted) throw cancelled();
  }

  async #storeBatch(
    prepared: readonly Prepared[],
    { metricsOnly }: ImportOptions,
    report: ImportReport,
  ): Promise<void> {
    // Noted first: a daemon that dies in between must not leave runs that a later import takes again.
    for (const { request, run, checkpoints } of prepared) {
      const { key, stamp } = request.found;
      const before = request.run ? (this.#known.get(key)?.checkpoints ?? []) : [];
      const taken = [...before, ...checkpoints.map(nameOfCheckpoint)];
      this.#known.set(key, { run: run.id, stamp, metricsOnly, checkpoints: taken });
    }
    this.#known.save();
    const stored = await takeRuns(this.#project, prepared);
    for (const [i, taken] of stored.entries()) {
      const { facts, run } = prepared[i]!.request;
      report.problems.push(...taken.problems);
      count(report, taken, facts, run === null);
    }
  }

  async #withFolder(work: (out: string) => Promise<void>): Promise<void> {
    const out = join(this.#project.place.store, IMPORT_FOLDER, randomId());
    mkdirSync(out, { recursive: true, mode: 0o700 });
    try {
      await work(out);
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  }

  async #room(): Promise<number> {
    const { quotaBytes, takenBytes } = await this.#project.store.quota();
    return Math.max(0, quotaBytes - takenBytes);
  }
}

function stateOf(
  { stamp }: FoundRun,
  known: KnownImport | undefined,
  run: Run | null,
  checkpoints: readonly FoundCheckpoint[],
): ImportState {
  if (!known || !run) return 'new';
  if (run.trashedAt !== null) return 'trashed';
  return known.stamp === stamp && checkpoints.length === 0 ? 'same' : 'grown';
}

function isWanted({ state }: Pending): boolean {
  return state === 'new' || state === 'grown';
}

function bytesOf(checkpoints: readonly FoundCheckpoint[]): number {
  return checkpoints.flatMap(({ files }) => files).reduce((sum, { bytes }) => sum + bytes, 0);
}

function count(
  { runs, counts }: ImportReport,
  { run, checkpoints }: { run: Run; checkpoints: readonly FoundCheckpoint[] },
  { points, leftOut }: ReadRun,
  isNew: boolean,
): void {
  counts[isNew ? 'added' : 'updated']++;
  counts.points += points;
  counts.leftOut += leftOut;
  counts.checkpoints += checkpoints.length;
  if (runs.length < MOST_LISTED)
    runs.push({ number: run.number, name: run.name, points, checkpoints: checkpoints.length, isNew });
}

/** Drops what both passes over the files have said. */
function unique(problems: readonly ImportProblem[]): ImportProblem[] {
  return [...new Map(problems.map((one) => [`${one.path}\0${one.problem}`, one])).values()];
}

function noRoom(neededBytes: number, freeBytes: number): TrainstashError {
  return new TrainstashError(
    'storeFull',
    `Nothing was imported: the checkpoints need up to ${bytesText(neededBytes)}, and the store may take ${bytesText(freeBytes)} more. \`trainstash quota\` sets how much it may use; --metrics-only imports without checkpoints.`,
    { neededBytes, freeBytes },
  );
}
