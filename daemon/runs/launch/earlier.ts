/** Facts about the time before a launch's checkpoint. */
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import { fromWireNumber, watchedMetrics } from '../../../protocol/numbers.ts';
import type { ProjectContext } from '../context.ts';

/** Number of values that tell whether a next one is a spike; see `session/divergence`. */
const WINDOW = 100;
/** Steps before the checkpoint in which they are looked for. */
const LOOKED_BACK = 2_000;

type Store = Pick<ProjectContext['store'], 'queryMetrics' | 'checkpointFacts'>;

/** Reads the newest finite values of the watched metrics before a checkpoint. */
export async function recentValues(store: Store, run: Run, { step }: Checkpoint): Promise<Record<string, number[]>> {
  const of = run.sessions === 0 ? (run.parent?.run ?? run.id) : run.id;
  const names = watchedMetrics(run.monitor);
  const series = await store.queryMetrics(of, { names, fromStep: Math.max(0, step - LOOKED_BACK), toStep: step });
  return Object.fromEntries(
    series.flatMap(({ name, values }) => {
      const finite = values.map(fromWireNumber).filter(Number.isFinite).slice(-WINDOW);
      return finite.length > 0 ? [[name, finite]] : [];
    }),
  );
}

/** Tells whether a run has other params than when its checkpoint was taken. */
export async function hasOtherParams(store: Store, run: Run, checkpoint: Checkpoint): Promise<boolean> {
  const before = (await store.checkpointFacts(checkpoint.id))?.run.params ?? run.params;
  const names = new Set([...Object.keys(before), ...Object.keys(run.params)]);
  return [...names].some((name) => JSON.stringify(before[name]) !== JSON.stringify(run.params[name]));
}
