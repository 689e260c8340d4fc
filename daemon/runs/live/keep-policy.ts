/** Makes the retention policy of a run from its launch file. */
import type { Run } from '../../../protocol/domain.ts';
import type { Launch } from '../../../protocol/session.ts';
import type { KeepPolicy } from '../../store/maintenance/retention.ts';

export function keepPolicy(run: Run, launch: Pick<Launch, 'keep' | 'monitor'> | null): KeepPolicy {
  return {
    last: launch?.keep.last ?? 3,
    every: launch?.keep.every ?? null,
    monitor: run.monitor ?? launch?.monitor ?? null,
  };
}
