/** Facts of a project that editors show beside its text. Everything here only looks: nothing is started, and no trust is needed. */
import type { Run } from '../../protocol/domain.ts';

export interface ProjectFacts {
  /** Root of the worktree. */
  root: string;
  /** Runs of the project, the newest first; at most some hundreds. */
  runs(): Promise<Run[]>;
}

/** Finds the project of a folder; null: it is in none, or the project cannot be opened. */
export type FactsOf = (folder: string) => Promise<ProjectFacts | null>;
