/** Output folders of Hugging Face's Trainer: `checkpoint-500/trainer_state.json`, and what is beside it. */
import { checkpointsIn } from '../checkpoints.ts';
import type { Points } from '../points.ts';
import { type Source, stampOf } from '../source.ts';
import { isRecord, plain, readJsonFile } from '../text.ts';
import { allFiles, fileIn, nameOf } from '../walk.ts';

const STATE = 'trainer_state.json';
/** Logged names that do not measure training. */
const NO_METRIC = /^(step|epoch)$/;
/** Settings in the trainer's state that tell runs apart. */
const SETTINGS = ['max_steps', 'num_train_epochs', 'train_batch_size', 'logging_steps', 'eval_steps', 'save_steps'];

export const huggingFace: Source = {
  tool: 'Hugging Face',
  find(folder, { around, tell }) {
    const states = [folder, ...folder.folders.filter(({ name }) => /^checkpoint-\d+$/.test(name))].flatMap(
      (one) => fileIn(one, STATE) ?? [],
    );
    if (states.length === 0) return null;
    const newest = states.reduce((a, b) => (b.mtimeMs >= a.mtimeMs ? b : a));
    const run = {
      key: `Hugging Face:${folder.path}`,
      job: around.at(-1) ?? nameOf(folder.path),
      name: folder.name,
      path: folder.path,
      stamp: stampOf(allFiles(folder)),
      checkpoints: checkpointsIn(folder, tell),
      read(points: Points) {
        const state = readJsonFile(newest.path);
        if (!isRecord(state)) {
          points.leftOut++;
          return {};
        }
        readHistory(state.log_history, points);
        return {
          params: plain(Object.fromEntries(SETTINGS.flatMap((name) => (name in state ? [[name, state[name]]] : [])))),
        };
      },
    };
    return { runs: [run], taken: folder.folders, all: true };
  },
};

function readHistory(logged: unknown, points: Points): void {
  if (!Array.isArray(logged)) return;
  for (const entry of logged) {
    if (!isRecord(entry) || typeof entry.step !== 'number') {
      points.leftOut++;
      continue;
    }
    const epoch = typeof entry.epoch === 'number' ? entry.epoch : null;
    for (const [name, value] of Object.entries(entry)) {
      if (NO_METRIC.test(name)) continue;
      // A NaN of Python's JSON has become null.
      if (typeof value === 'number' || value === null) points.add(name, entry.step, value ?? Number.NaN, null, epoch);
    }
  }
}
