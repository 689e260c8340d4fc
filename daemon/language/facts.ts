/** Facts of a project that editors show beside its text. Everything here only looks: nothing is started, and no trust is needed. */
import { dirname } from 'node:path';
import type { FileInspection, Grade, Run } from '../../protocol/domain.ts';
import type { JobSummary } from '../../protocol/messages/project.ts';

export interface ProjectFacts {
  /** Root of the worktree. */
  root: string;
  /** Runs of the project, the newest first; at most some hundreds. */
  runs(): Promise<Run[]>;
  /** URLs of the remotes that were accepted on this machine, by name; null: it is not known. */
  remotes(): Promise<ReadonlyMap<string, string> | null>;
  /** Checkpoint that has kept a file as it is now, with its run; null: none is known to. */
  checkpointOf(path: string): Promise<{ run: string; step: number; grade: Grade; tags: string[] } | null>;
  /** Runs of a script on the present branch, however they were started; null: there are none. */
  runsOf(path: string): Promise<ScriptRuns | null>;
}

export interface ScriptRuns {
  root: string;
  /** Runs, the newest first. */
  runs: Run[];
  /** Job that the newest run was started by; null: it was started by a command. */
  job: JobSummary | null;
}

/** Finds the project of a folder; null: it is in none, the project has no store yet, or it cannot be opened. */
export type FactsOf = (folder: string) => Promise<ProjectFacts | null>;

/** Finds the runs of a script. */
export async function runsOf(factsOf: FactsOf, path: string): Promise<ScriptRuns | null> {
  return (await (await factsOf(dirname(path)))?.runsOf(path)) ?? null;
}

/** Lists the first tensors of a file; a sentence where it cannot be read. Nothing in it is executed. */
export type DescribeFile = (path: string, tensors: number) => Promise<FileInspection | string>;
