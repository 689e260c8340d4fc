import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { inside } from '../../base/inside.ts';
import type { Checkpoint, Notice, Run } from '../../protocol/domain.ts';
import { idSchema } from '../../protocol/session.ts';
import { SessionDirectory } from '../../session/directory.ts';
import type { Backends } from '../backend-selection/backends.ts';
import type { KnownBranches } from '../branches/known-branches.ts';
import type { Place } from '../code/project.ts';
import type { Store } from '../store/client.ts';
import type { SecretParams } from './launch/secret-params.ts';

/** Parts that all code of one project shares. */
export interface ProjectContext {
  place: Place;
  store: Store;
  /** Bundles of the trainer and of a command's runner. */
  trainer: string;
  runner: string;
  backends: Backends;
  secrets: SecretParams;
  /** Null without git. */
  branches: KnownBranches | null;
  /** Tells whether a file's structure is complete; `name` determines the format. */
  isWhole(path: string | Buffer, name: string, bytes: number): Promise<boolean>;
  announce: Announcer;
  log(text: string): void;
  /** True if the store was made here, or if the user has said that it may be used anyway. */
  isOurs(): boolean;
}

/** Notifies clients; each call is one change of the state's revision. */
export interface Announcer {
  /** Tells that HEAD of a worktree has moved, or what its due switch waits for. */
  project(root: string): void;
  run(run: Run): void;
  checkpoint(checkpoint: Checkpoint): void;
  metrics(run: Run, step: number, values: Record<string, number>): void;
  notice(run: Run | null, notice: Notice): void;
}

export function sessionsPath(context: Pick<ProjectContext, 'place'>): string {
  return join(context.place.store, 'sessions');
}

/** Returns the session directory for an id that a record names. Throws `unsafeName`. */
export function sessionOf(context: Pick<ProjectContext, 'place'>, id: string): SessionDirectory {
  return new SessionDirectory(inside(sessionsPath(context), id));
}

/** Lists the ids of the existing sessions. Ignores links. */
export function sessionIds(context: Pick<ProjectContext, 'place'>): string[] {
  const entries = readdirSync(sessionsPath(context), { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() && v.is(idSchema, entry.name) ? [entry.name] : []));
}

/** Returns false once somebody has deleted the open store. */
export function storeExists(context: Pick<ProjectContext, 'place'>): boolean {
  return existsSync(join(context.place.store, 'objects.db'));
}
