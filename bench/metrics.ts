/** Measures metrics from the event file to durable rows, and back out as a curve. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newRun, newSession } from '../daemon/runs/records.ts';
import { startStore } from '../daemon/store/client.ts';
import { median, type Result, timed } from './measure.ts';
import { writeEvents } from './projects.ts';

const POINTS = 1_000_000;
const METRICS_A_LINE = 2;
const QUERIES = 15;

export async function metricsBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'metrics-'));
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), { path: work });
  try {
    const identity = { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
    const run = await store.createRun(
      newRun({ job: 'bench', params: {}, overrides: [], seed: 0, backend: 'wasm', identity, restarts: 0 }),
    );
    const session = newSession(run, 'train', null);
    await store.putSession(session);
    writeEvents(join(work, 'sessions', session.id), POINTS);
    let points = 0;
    const seconds = await timed(async () => {
      for (let more = true; more; ) {
        const taken = await store.takeEvents(session.id, 'events');
        points += taken.points;
        more = taken.more;
      }
    });
    if (points !== POINTS * METRICS_A_LINE) throw new Error(`${points} points were stored`);
    const queries: number[] = [];
    for (let i = 0; i < QUERIES; i++) {
      queries.push(await timed(() => store.queryMetrics(run.id, { names: ['loss'], buckets: 2_000 })));
    }
    return [
      { name: 'metrics.ingest', value: points / seconds, unit: 'points/s', goal: { atLeast: 200_000 } },
      {
        name: 'metrics.query',
        value: median(queries) * 1000,
        unit: 'ms',
        goal: { atMost: 50 },
        raw: { ours: queries },
      },
    ];
  } finally {
    await store.close();
    rmSync(work, { recursive: true, force: true });
  }
}
