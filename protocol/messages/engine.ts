/** Messages about engines. */
import * as v from 'valibot';
import type { EngineType } from '../engines.ts';
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
