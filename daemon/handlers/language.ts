/** Gives the language server the facts of projects. */
import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from '../../inspector/inspect.ts';
import type { Run } from '../../protocol/domain.ts';
import type { JobSummary } from '../../protocol/messages/project.ts';
import { findProject, readHead } from '../code/project.ts';
import type { Daemon } from '../daemon.ts';
import type { DescribeFile, FactsOf } from '../language/facts.ts';
import type { LanguagePeer, LanguageService } from '../language/peer.ts';
import { PythonReader } from '../language/python-scripts/reader.ts';
import { LanguageServer } from '../language/server.ts';
import { jobsOf } from '../runs/jobs.ts';
import { withLive } from './listing.ts';

/** Number of runs that editors look through. */
const RUNS = 500;
/** Time for which a list of runs is good enough: an editor asks at each key. */
const FRESH_MS = 2_000;

/** Makes the language servers of all clients. `runtime` is the folder of the bundles. */
export function languageServers(
  daemon: Daemon,
  runtime: string,
  log: (text: string) => void,
): (peer: LanguagePeer) => LanguageService {
  const python = new PythonReader(pathToFileURL(join(runtime, 'language-thread.js')));
  const describe: DescribeFile = (path, limit) =>
    inspect(daemon.inspectors, 'language', { path, limit }).catch((error: Error) => error.message);
  const shared = {
    python,
    describe,
    factsOf: factsOf(daemon),
    docs: join(runtime, 'docs'),
    version: daemon.build.version,
    log,
  };
  return (peer) => new LanguageServer({ ...shared, peer });
}

function factsOf(daemon: Daemon): FactsOf {
  const known = new Map<string, { at: number; runs: Promise<Run[]> }>();
  return async (folder) => {
    // A document that is merely shown makes no store. A folder that is no project, or whose store was made elsewhere, has nothing to show.
    const place = await findProject(folder).catch(() => null);
    if (!place || !existsSync(join(place.store, 'objects.db'))) return null;
    const opened = await daemon.project(folder).catch(() => null);
    if (!opened) return null;
    const root = await daemon.rootOf(folder);
    const runs = () => {
      const before = known.get(root);
      if (before && Date.now() - before.at < FRESH_MS) return before.runs;
      const found = opened.store
        .runs({ branch: undefined, drafts: true, trashed: false, before: null, limit: RUNS })
        .then((page) => withLive(page.runs, opened.runs.liveRuns()));
      known.set(root, { at: Date.now(), runs: found });
      return found;
    };
    return {
      root,
      runs,
      remotes: async () => {
        if (!opened.isOurs) return null;
        return daemon.transferring(opened, (remotes) => new Map(remotes.list().map(({ name, url }) => [name, url])));
      },
      checkpointOf: async (path) => {
        const stat = await lstat(path, { bigint: true }).catch(() => null);
        if (!stat?.isFile()) return null;
        const found = await opened.store.checkpointOfFile({
          name: basename(path),
          bytes: Number(stat.size),
          ino: `${stat.dev}:${stat.ino}`,
          mtimeMs: Number(stat.mtimeNs) / 1e6,
        });
        const run = found && (await opened.store.run(found.run));
        return run ? { run: run.name, step: found.step, grade: found.grade, tags: found.tags } : null;
      },
      runsOf: async (path) => {
        const inside = relative(root, path).split(sep).join('/');
        const jobs = jobsIn(root);
        const { branch } = await readHead(root).catch(() => ({ branch: null }));
        const own = (await runs()).filter((run) => run.branch === branch && isOf(run, inside, jobs));
        const [newest] = own;
        const job = newest?.command === null ? (jobs.find(({ name }) => name === newest.job) ?? null) : null;
        return newest ? { root, runs: own, job } : null;
      },
    };
  };
}

/** Tells whether a run was started from a script, by its path in the project. */
function isOf({ command, job }: Run, script: string, jobs: readonly JobSummary[]): boolean {
  // The command of a notebook is that of its kernel. Its runs are named after it.
  if (script.endsWith('.ipynb') && job === basename(script, '.ipynb')) return true;
  if (!command) return jobs.some((one) => one.name === job && one.script === script);
  const folder = command.cwd === '' ? '' : `${command.cwd}/`;
  return command.words.some((word) => `${folder}${word}` === script);
}

/** Lists the jobs; none if the file has a mistake, which is marked in it. */
function jobsIn(root: string): JobSummary[] {
  try {
    return jobsOf(root).jobs;
  } catch {
    return [];
  }
}
