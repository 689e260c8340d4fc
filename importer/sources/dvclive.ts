/** DVCLive's folders: `plots/metrics/**.tsv`, and `params.yaml` beside them. */
import type { Points } from '../points.ts';
import { type Source, stampOf } from '../source.ts';
import { numberOf, plain, readYaml, rowsOf } from '../text.ts';
import { allFiles, below, fileIn, nameOf } from '../walk.ts';

export const dvcLive: Source = {
  tool: 'DVCLive',
  find(folder, { around }) {
    const plots = below(folder, 'plots', 'metrics');
    if (!plots || !fileIn(folder, 'metrics.json')) return null;
    const tables = [...allFiles(plots)].filter(({ name }) => name.endsWith('.tsv'));
    const params = fileIn(folder, 'params.yaml');
    const run = {
      key: `DVCLive:${folder.path}`,
      job: around.at(-1) ?? nameOf(folder.path),
      name: folder.name,
      path: folder.path,
      stamp: stampOf([...tables, ...folder.files]),
      checkpoints: [],
      read(points: Points) {
        for (const { path } of tables) {
          const name = path.slice(plots.path.length + 1, -'.tsv'.length).replaceAll('\\', '/');
          readTable(path, name, points);
        }
        return { params: params ? plain(readYaml(params.path) ?? {}) : {} };
      },
    };
    return { runs: [run], taken: folder.folders, all: true };
  },
};

function readTable(path: string, name: string, points: Points): void {
  const own = name.split('/').at(-1)!;
  for (const row of rowsOf(path, '\t')) {
    const step = numberOf(row.get('step'));
    const value = numberOf(row.get(name) ?? row.get(own));
    const time = numberOf(row.get('timestamp'));
    if (step === null || value === null) points.leftOut++;
    else points.add(name, step, value, time);
  }
}
