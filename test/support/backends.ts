/** The choice of a backend without a daemon, in folders of the test's own. */
import { join } from 'node:path';
import { type BackendRequest, Backends } from '../../daemon/backend-selection/backends.ts';
import { temporaryFolder } from './folder.ts';
import { DIST } from './trainer.ts';

/** `open` begins as a new daemon does: with what an earlier one has written. */
export function backendBench(environment: Record<string, string>) {
  const root = temporaryFolder();
  const directory = join(temporaryFolder(), 'backends');
  const open = () => new Backends({ entry: join(DIST, 'probe.js'), build: 'test', directory });
  const request = (more: Partial<BackendRequest> = {}): BackendRequest => ({
    wanted: 'auto',
    root,
    environment,
    checkpoint: null,
    ...more,
  });
  return { root, directory, open, request };
}
