/** Messages about the history of other tools. */
import * as v from 'valibot';
import type { ImportProblem, ImportTool } from '../imports.ts';
import { environment, request, root, text } from './request.ts';

/** Most runs that an answer lists; counts cover all. */
export const MOST_LISTED = 200;
const paths = v.pipe(v.array(text), v.minLength(1), v.maxLength(100));

/** Shell whose Pythons may read what only a tool's own package can. */
const shell = { environment: v.optional(environment), interpreter: v.optional(text) };

/** `new`: not imported yet. `grown`: it has changed since. `same`: it has not. `trashed`: its run is in the trash. */
export type ImportState = 'new' | 'grown' | 'same' | 'trashed';

export interface ListedImport {
  tool: ImportTool;
  job: string;
  name: string;
  path: string;
  state: ImportState;
  checkpoints: number;
  /** Size of the checkpoints that an import would take. */
  bytes: number;
}

export interface ImportPlan {
  runs: ListedImport[];
  counts: Record<ImportState, number>;
  /** Checkpoints and bytes that an import would take. */
  checkpoints: number;
  bytes: number;
  /** Bytes that the store may still take. */
  roomBytes: number;
  files: number;
  problems: ImportProblem[];
}

/** Finds runs below these absolute paths, and changes nothing. */
export const importPlan = request<ImportPlan>()(
  'import/plan',
  v.object({ root, paths, ...shell, task: v.optional(text) }),
);

export interface ImportReport {
  /** Numbers and names of the runs, at most 200. */
  runs: { number: number; name: string; points: number; checkpoints: number; isNew: boolean }[];
  counts: { added: number; updated: number; points: number; checkpoints: number; leftOut: number };
  problems: ImportProblem[];
}

/** Takes what `import/plan` finds. Its task counts runs. `metricsOnly`: no checkpoints. `job`: for all runs, instead of their own. */
export const importRun = request<ImportReport>()(
  'import/run',
  v.object({
    root,
    paths,
    ...shell,
    metricsOnly: v.optional(v.boolean()),
    job: v.optional(v.pipe(text, v.maxLength(100))),
    task: v.optional(text),
  }),
);
