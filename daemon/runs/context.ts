import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { inside } from '../../base/inside.ts';
import type { Checkpoint, Notice, Run } from '../../protocol/domain.ts';
import { idSchema } from '../../protocol/session.ts';
import type { Backends } from '../backends/backends.ts';
import type { KnownBranches } from '../branches/known-branches.ts';
import type { Place } from '../code/project.ts';
import { SessionDirectory } from '../sessions/directory.ts';
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
  /** Whether the store was made here, or somebody has said that it may be used all the same. */
  isOurs(): boolean;
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

/** Of an id that a record names. Throws `unsafeName`. */
export function sessionOf(context: Pick<ProjectContext, 'place'>, id: string): SessionDirectory {
  return new SessionDirectory(inside(sessionsPath(context), id));
}

/** Ids of the sessions that there are. A link is none. */
export function sessionIds(context: Pick<ProjectContext, 'place'>): string[] {
  const entries = readdirSync(sessionsPath(context), { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() && v.is(idSchema, entry.name) ? [entry.name] : []));
}

/** False once somebody has deleted the store under us. */
export function storeExists(context: Pick<ProjectContext, 'place'>): boolean {
  return existsSync(join(context.place.store, 'objects.db'));
}
