/** What a run is tied to: branch, commit, code, machine. */
import { cpus } from 'node:os';
import { readHead } from '../code/project.ts';
import { takeSnapshot } from '../code/snapshot.ts';
import type { ProjectContext } from './context.ts';
import type { Identity } from './records.ts';

const MAX_LISTED = 50;

/** Never fails: a run whose code cannot be kept is still a run. */
export async function identityOf({ place, log }: ProjectContext): Promise<Identity> {
  if (!place.git) return { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
  const head = await readHead(place.root);
  const snapshot = await takeSnapshot(place.root, place.store).catch((error: Error) => {
    log(`code not kept: ${error.message}`);
    return null;
  });
  const codeLeftOut = (snapshot?.leftOut ?? [])
    .slice(0, MAX_LISTED)
    .map(({ path, bytes }) => `${path} (${bytes} bytes)`);
  return { ...head, dirty: snapshot?.dirty ?? false, code: snapshot?.tree ?? null, codeLeftOut };
}

/** As the trainer reports it, so that the two can be compared. */
export function machineNow(): Record<string, string> {
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    device: cpus()[0]?.model.trim() ?? 'cpu',
  };
}
