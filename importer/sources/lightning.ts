/** Lightning's version folders: hparams.yaml, metrics.csv or event files, and checkpoints. */
import { checkpointsIn } from '../checkpoints.ts';
import type { Points } from '../points.ts';
import { type Source, stampOf } from '../source.ts';
import { numberOf, plain, readYaml, rowsOf } from '../text.ts';
import { allFiles, below, fileIn, nameOf } from '../walk.ts';
import { isEventFile, readEventFiles } from './tensorboard.ts';

export const lightning: Source = {
  tool: 'Lightning',
  find(folder, { around, tell }) {
    const params = fileIn(folder, 'hparams.yaml');
    const table = fileIn(folder, 'metrics.csv');
    const events = folder.files.filter(isEventFile);
    const checkpoints = below(folder, 'checkpoints');
    if (!params && !(table && checkpoints) && !(events.length > 0 && checkpoints)) return null;
    const run = {
      key: `Lightning:${folder.path}`,
      job: jobOf(around, folder.path),
      name: folder.name,
      path: folder.path,
      stamp: stampOf(allFiles(folder)),
      checkpoints: checkpointsIn(folder, tell),
      read(points: Points) {
        // Both loggers may have been used at once, with the same values.
        if (table) readTable(table.path, points);
        else readEventFiles(events, points);
        return { params: params ? plain(readYaml(params.path) ?? {}) : {} };
      },
    };
    return { runs: [run], taken: folder.folders, all: true };
  },
};

/** Reads the CSV logger's table. Each row has the values of one call, and empty cells for all others. */
function readTable(path: string, points: Points): void {
  for (const row of rowsOf(path, ',')) {
    const step = numberOf(row.get('step'));
    const epoch = numberOf(row.get('epoch'));
    if (step === null) {
      points.leftOut++;
      continue;
    }
    for (const [name, cell] of row) {
      if (name === 'step' || name === 'epoch' || cell === '') continue;
      const value = numberOf(cell);
      if (value === null) points.leftOut++;
      else points.add(name, step, value, null, epoch);
    }
  }
}

function jobOf(around: readonly string[], path: string): string {
  const names = around.filter((name) => name !== 'lightning_logs' && name !== 'csv_logs');
  return names.at(-1) ?? nameOf(path);
}
