/** Makes very large projects without training. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newRun, newSession } from '../daemon/runs/records.ts';
import { startStore } from '../daemon/store/client.ts';
import type { Checkpoint } from '../protocol/domain.ts';
import { SESSION_FILES } from '../protocol/session.ts';

const CHECKPOINTS_A_RUN = 10;

/** Writes rows as trainings would, straight into a store of its own. */
export async function fillRuns(path: string, dist: string, runs: number): Promise<void> {
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), { path });
  const identity = { branch: 'main', commit: 'f'.repeat(40), dirty: false, code: 'c'.repeat(40), codeLeftOut: [] };
  for (let i = 0; i < runs; i++) {
    const params = { learningRate: 0.001 * (i % 7), epochs: 10, batchSize: 64 };
    const run = await store.createRun({
      ...newRun({ job: 'bench', params, overrides: [], seed: 0, backend: 'wasm', identity, restarts: 0 }),
      status: 'completed',
      checkpoints: CHECKPOINTS_A_RUN,
    });
    const checkpoints = Array.from(
      { length: CHECKPOINTS_A_RUN },
      (_, k): Checkpoint => ({
        id: `${run.id.slice(0, 10)}${String(k).padStart(2, '0')}`,
        run: run.id,
        session: 's',
        step: (k + 1) * 100,
        epoch: k,
        createdAt: run.createdAt + k,
        bytes: 1e6,
        storedBytes: 5e5,
        reasons: ['steps'],
        tags: [],
        grade: 'complete',
        missing: [],
        proof: null,
        stateDigest: 'd'.repeat(64),
        parent: null,
        metrics: { loss: 1 / (k + 1) },
        trashedAt: null,
      }),
    );
    await store.putCheckpointRows(checkpoints);
  }
  await store.close();
}

/** Writes runs with curves of `points` points of two metrics. */
export async function fillCurves(path: string, dist: string, runs: number, points: number): Promise<void> {
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), { path });
  const identity = { branch: 'main', commit: null, dirty: false, code: null, codeLeftOut: [] };
  const summary = {
    last: 0.1,
    lastStep: points,
    min: 0.1,
    minStep: points,
    max: 1,
    maxStep: 1,
    count: points,
    notFinite: 0,
  };
  for (let i = 0; i < runs; i++) {
    const run = await store.createRun({
      ...newRun({ job: 'curves', params: { i }, overrides: [], seed: 0, backend: 'wasm', identity, restarts: 0 }),
      status: 'completed',
      metrics: { loss: summary, learning_rate: summary },
    });
    const session = newSession(run, 'train', null);
    await store.putSession(session);
    // Each has another phase, so that no two curves keep points of the same steps.
    writeEvents(join(path, 'sessions', session.id), points, i);
    while ((await store.takeEvents(session.id, 'events')).more);
    await store.putSession({ ...session, endedAt: Date.now() });
    rmSync(join(path, 'sessions', session.id), { recursive: true });
  }
  await store.close();
}

/** Writes events as a trainer would: one line per step, with two metrics of full precision. */
export function writeEvents(directory: string, steps: number, phase = 0): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, SESSION_FILES.events);
  writeFileSync(path, '');
  for (let start = 0; start < steps; start += 10_000) {
    const lines = Array.from({ length: 10_000 }, (_, i) => {
      const step = start + i + 1;
      const values = {
        loss: Math.exp(-step / 3e5) + Math.sin(step + phase) * 0.01,
        learning_rate: 0.001 * (1 - step / steps),
      };
      return JSON.stringify({ seq: step, t: 1_700_000_000_000 + step, type: 'metrics', step, epoch: 0, values });
    });
    appendFileSync(path, `${lines.join('\n')}\n`);
  }
}
