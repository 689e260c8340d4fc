/** Gives the language server the facts of projects. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Daemon } from '../daemon.ts';
import type { FactsOf } from '../language/facts.ts';
import type { LanguagePeer, LanguageService } from '../language/peer.ts';
import { PythonReader } from '../language/python-scripts/reader.ts';
import { LanguageServer } from '../language/server.ts';

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
  const shared = { python, factsOf: factsOf(daemon), docs: join(runtime, 'docs'), version: daemon.build.version, log };
  return (peer) => new LanguageServer({ ...shared, peer });
}

function factsOf(daemon: Daemon): FactsOf {
  const known = new Map<string, { at: number; runs: ReturnType<NonNullable<Awaited<ReturnType<FactsOf>>>['runs']> }>();
  return async (folder) => {
    // A folder that is no project, or whose store was made elsewhere, has nothing to show.
    const opened = await daemon.project(folder).catch(() => null);
    if (!opened) return null;
    const root = await daemon.rootOf(folder);
    return {
      root,
      runs: () => {
        const before = known.get(root);
        if (before && Date.now() - before.at < FRESH_MS) return before.runs;
        const runs = opened.store
          .runs({ branch: undefined, drafts: true, trashed: false, before: null, limit: RUNS })
          .then((page) => page.runs);
        known.set(root, { at: Date.now(), runs });
        return runs;
      },
    };
  };
}
