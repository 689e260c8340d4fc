/**
 * Entry of the thread that scans and inspects files for a runner. It lives in a process of its own, so that the runner
 * never keeps the script waiting for its terminal.
 */
import { serve } from '../inspector/serve.ts';
import { firstIncomplete } from '../inspector/whole.ts';
import { inspectFiles } from './know.ts';
import type { FilesPart, LookAtFilesRequest, LookerRequest, ScanSummary } from './looker-requests.ts';
import { newEvents } from './tensorboard.ts';
import { WatchedFiles } from './watched.ts';

/** The number of files sent in one message. */
const PART = 2_000;

let watched: WatchedFiles | null = null;

serve((request, { part }) => {
  const wanted = request as LookerRequest;
  if (wanted.do === 'files') return lookAtFiles(wanted, part);
  if (wanted.do === 'events') return newEvents(wanted);
  return wanted.do === 'inspect' ? inspectFiles(wanted.paths) : firstIncomplete(wanted);
});

function lookAtFiles({ places, since }: LookAtFilesRequest, part: (part: FilesPart) => void): ScanSummary {
  const startedAt = performance.now();
  watched ??= new WatchedFiles(places);
  const { changed, gone, ...looked } = watched.look(since);
  for (let at = 0; at < Math.max(changed.length, gone.length); at += PART)
    part({ changed: changed.slice(at, at + PART), gone: gone.slice(at, at + PART) });
  return { ...looked, tookMs: performance.now() - startedAt };
}
