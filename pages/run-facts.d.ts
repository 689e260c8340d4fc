/** Facts about runs that pages, trees and tooltips share. Pure. */
import type { Checkpoint, Run, Session } from '../protocol/domain.ts';
/** Describes a run's newest value that is worth a warning, `loss is NaN`; empty: there is none. */
export declare function alarmText(run: Run): string;
/** Tells whether a run ended early and has a checkpoint. */
export declare function canGoOn({ status, checkpoints }: Run): boolean;
/** Finds the best checkpoint by the metric that its run is judged by; of equal ones the earliest. */
export declare function bestOf(
  checkpoints: readonly Checkpoint[],
  monitor: Run['monitor'] | undefined,
): Checkpoint | undefined;
/** Describes a run's place on a cluster, `cluster · job 12 · on n1 · life 3`; empty: it is on none. */
export declare function engineText({ engine }: Run): string;
/** Returns the hours of GPUs that a run's sessions on its cluster have taken; null: it has no GPU there, or none is told. */
export declare function gpuHours({ engine }: Run, sessions: readonly Session[], now: number): number | null;
