/** Messages from a live run to its surroundings. */
import type { Run, Session } from '../../../protocol/domain.ts';
import type { ExitRecord } from '../../../protocol/session.ts';
import type { SessionDirectory } from '../../../session/directory.ts';
import type { RunChange } from '../../store/catalog/run-change.ts';
import type { Away } from './follower.ts';

export interface Ended {
  run: Run;
  exit: ExitRecord | null;
  directory: SessionDirectory;
  session: Session;
  forced: boolean;
  /** True if somebody had asked it to pause or to stop. */
  asked: boolean;
  /** Writes the record, with what the surroundings add to it. */
  change(more: RunChange): Promise<Run>;
}

/** Calls from a live run to its surroundings. */
export interface LiveRunEvents {
  ended(ended: Ended): Promise<void>;
  /** Names other scripts in the same worktree that may save to any path. */
  otherWriters(): string[];
  wrote(paths: readonly string[]): void;
  away?: Away | undefined;
}
