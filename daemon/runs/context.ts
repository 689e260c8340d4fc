import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Checkpoint, Notice, Run } from '../../protocol/domain.ts';
import type { Backends } from '../backends/backends.ts';
import type { KnownBranches } from '../branches/known-branches.ts';
import type { Place } from '../code/project.ts';
import type { Store } from '../store/client.ts';
import type { SecretParams } from './secret-params.ts';

/** What the parts of a project share. */
export interface ProjectContext {
  place: Place;
  store: Store;
  /** Bundles: the trainer's, and the runner's of a command. */
  trainer: string;
  runner: string;
  backends: Backends;
  secrets: SecretParams;
  /** Null without git. */
  branches: KnownBranches | null;
  /** Tells whether a file's structure is complete; `name` says which format that is. */
  isWhole(path: string | Buffer, name: string, bytes: number): Promise<boolean>;
  announce: Announcer;
  log(text: string): void;
}

/** Tells clients; each call is one change of the state's revision. */
export interface Announcer {
  run(run: Run): void;
  checkpoint(checkpoint: Checkpoint): void;
  metrics(run: Run, step: number, values: Record<string, number>): void;
  notice(run: Run | null, notice: Notice): void;
}

export function sessionsPath(context: Pick<ProjectContext, 'place'>): string {
  return join(context.place.store, 'sessions');
}

/** False once somebody has deleted the store under us. */
export function storeExists(context: Pick<ProjectContext, 'place'>): boolean {
  return existsSync(join(context.place.store, 'objects.db'));
}
