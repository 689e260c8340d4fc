/** Messages about engines. */
import * as v from 'valibot';
import { type EngineLoad, type EngineType, engineNameSchema } from '../engines.ts';
import { environment, request, root, text } from './request.ts';

export interface EngineSummary {
  name: string;
  type: EngineType;
  /** Host that leads to it; null: this machine. */
  host: string | null;
  folder: string | null;
  /** Number of runs that are on it now. */
  runs: number;
}

/** Lists the engines that the project's configuration describes. */
export const engineList = request<{ engines: EngineSummary[] }>()('engine/list', v.object({ root }));

export interface EngineFinding {
  what: string;
  isFine: boolean;
  text: string;
}

/** Tries everything that a run needs, with a job of one second. Throws `notFound` and `engineUnusable`. */
export const engineTest = request<{ findings: EngineFinding[] }>()(
  'engine/test',
  v.object({ root, name: text, environment }),
);

/** Asks an engine for its nodes and its queue. Null: engines of its kind do not tell. Throws `notFound` and `engineUnreachable`. */
export const engineLoad = request<{ load: EngineLoad | null }>()('engine/load', v.object({ root, name: text }));

/**
 * Settings of a new engine, as a person gives them: what is not said stays unsaid in the file. Only kinds that need no more than
 * these; `engineSchema` has all.
 */
const newEngine = v.strictObject({
  type: v.picklist(['slurm', 'ssh', 'ray']),
  host: v.optional(text),
  address: v.optional(text),
  folder: v.optional(text),
  options: v.optional(v.array(text)),
});
export type NewEngine = v.InferOutput<typeof newEngine>;

/** Adds an engine to `trainstash.json`. Throws `paramInvalid` for a name that is taken, and for a key that is missing or wrong. */
export const engineAdd = request<{ config: string }>()(
  'engine/add',
  v.object({ root, name: engineNameSchema, settings: newEngine }),
);
