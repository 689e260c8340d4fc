/** Makes very large projects without training. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { newRun, newSession } from '../daemon/runs/records.ts';
import { startStore } from '../daemon/store/client.ts';
import type { Checkpoint } from '../protocol/domain.ts';
import { SESSION_FILES } from '../protocol/session.ts';
import { SessionDirectory } from '../session/directory.ts';
import { MediaWriter } from '../session/media.ts';

const CHECKPOINTS_A_RUN = 10;
const IMAGES = 1_000;
const IMAGE_NAMES = 10;

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

/** Writes runs with curves of `points` points of two metrics. Runs below `images` have a thousand images, too. */
export async function fillCurves(path: string, dist: string, runs: number, points: number, images = 0): Promise<void> {
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
    if (i < images) writeImages(join(path, 'sessions', session.id), i);
  }
  await store.close();
}

/** Writes images under ten names, at a hundred steps each. */
function writeImages(directory: string, seed: number): void {
  mkdirSync(directory, { recursive: true });
  const writer = new MediaWriter(new SessionDirectory(directory));
  for (let step = 1; step <= IMAGES / IMAGE_NAMES; step++)
    for (let name = 0; name < IMAGE_NAMES; name++)
      writer.add(
        { t: step, step, name: `image ${name}`, kind: 'image' },
        pngOf(seed * IMAGES + step * IMAGE_NAMES + name),
      );
}

/** Makes a grey image of 64 × 64 pixels of noise: it is as large as what a training logs. */
function pngOf(seed: number): Buffer {
  const side = 64;
  const rows = Buffer.alloc(side * (side + 1), 0);
  for (let i = 0; i < rows.length; i++) if (i % (side + 1) > 0) rows[i] = (Math.sin(i * 12.9898 + seed) * 43_758) & 255;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 8;
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const parts = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...parts]);
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
