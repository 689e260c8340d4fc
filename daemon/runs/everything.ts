/**
 * Writes everything that a store has as plain files: a folder for each run, with its checkpoints, metrics and record.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inside } from '../../base/inside.ts';
import { csvOfPoints } from '../../formats/writers/csv.ts';
import type { Run } from '../../protocol/domain.ts';
import type { Store } from '../store/client.ts';

export async function writePlainFiles(
  store: Store,
  directory: string,
): Promise<{ checkpoints: number; bytes: number }> {
  let bytes = 0;
  let checkpoints = 0;
  mkdirSync(directory, { recursive: true });
  for (let before: number | null = null; ; ) {
    const page: Run[] = (await store.runs({ drafts: true, trashed: false, before, limit: 100 })).runs;
    if (page.length === 0) return { checkpoints, bytes };
    for (const run of page) {
      const folder = inside(directory, `${run.number}-${safeName(run.job)}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'run.json'), `${JSON.stringify(run, null, 2)}\n`);
      writeFileSync(join(folder, 'metrics.csv'), csvOfPoints(await store.queryMetrics(run.id, {})));
      for (const checkpoint of await store.checkpoints(run.id)) {
        const target = inside(folder, `step-${checkpoint.step}-${checkpoint.id}`);
        bytes += (await store.restoreCheckpoint(checkpoint.id, target)).bytes;
        checkpoints++;
      }
    }
    before = page.at(-1)!.number;
  }
}

function safeName(name: string): string {
  return name.replaceAll(/[^\w.-]+/g, '_');
}
