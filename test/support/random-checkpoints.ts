/** A store in this process, and checkpoints of random floats: of any size, and equal for equal seeds. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newRun, newSession } from '../../daemon/runs/records.ts';
import { type Store, startStore } from '../../daemon/store/client.ts';
import { encodeHeader } from '../../formats/safetensors.ts';
import type { Run, Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE, type CheckpointFile, STATE_FILE } from '../../protocol/session.ts';
import { Random } from '../../trainer/random.ts';
import { afterwards } from './cleanup.ts';
import { DIST } from './trainer.ts';

export interface Opened {
  store: Store;
  path: string;
  run: Run;
  session: Session;
}

export async function open(path: string, quotaBytes?: number): Promise<Opened> {
  const store = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path, quotaBytes });
  afterwards(() => store.close().catch(() => {}));
  const identity = { branch: 'main', commit: null, dirty: false, code: null, codeLeftOut: [] };
  const run = await store.createRun(
    newRun({ job: 'job', params: { lr: 1 }, overrides: [], seed: 0, backend: 'wasm', identity, restarts: 0 }),
  );
  const session = newSession(run, 'train', null);
  await store.putSession(session);
  return { store, path, run, session };
}

/** Makes a checkpoint's files with `mebibytes` of random floats, the same for the same seed. */
export function makeCheckpoint(
  folder: string,
  session: string,
  step: number,
  seed = step,
  mebibytes = 1,
  extra: Partial<CheckpointFile> = {},
): string {
  const id = randomId();
  const directory = join(folder, id);
  mkdirSync(directory, { recursive: true });
  const random = Random.seeded(seed);
  const count = mebibytes << 18;
  const values = Uint32Array.from({ length: count }, () => random.uint32());
  const header = encodeHeader([{ name: 'model/w', dtype: 'F32', shape: [count], bytes: count * 4 }], {});
  const state = Buffer.concat([header, Buffer.from(values.buffer)]);
  writeFileSync(join(directory, STATE_FILE), state);
  const facts: CheckpointFile = {
    ...blankCheckpointFile(id, session, step, Date.now()),
    batch: 1,
    files: [{ name: STATE_FILE, bytes: state.length }],
    ...extra,
  };
  writeFileSync(join(directory, CHECKPOINT_FILE), JSON.stringify(facts));
  return directory;
}

export const save = async ({ store, run, session }: Opened, directory: string) =>
  (await store.saveCheckpoint({ directory, run, session }, 0)).checkpoint;
