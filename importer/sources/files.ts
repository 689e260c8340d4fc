/** Folders with nothing but checkpoint files: one run for each. */

import { isCheckpointFolder, looksLikeCheckpoint } from '../../session/names.ts';
import { checkpointsIn } from '../checkpoints.ts';
import { type Source, stampOf } from '../source.ts';
import { allFiles, type Folder, nameOf } from '../walk.ts';

export const checkpointFiles: Source = {
  tool: 'checkpoint files',
  find(folder, { around, tell }) {
    const own = folder.files.filter(({ name }) => looksLikeCheckpoint(name));
    const folders = folder.folders.filter(({ name }) => isCheckpointFolder(name));
    if (own.length === 0 && folders.length === 0) return null;
    const only: Folder = { ...folder, folders };
    const checkpoints = checkpointsIn(only, tell);
    if (checkpoints.length === 0) return { runs: [], taken: folders, all: false };
    const times = checkpoints.flatMap(({ files }) => files.map(({ mtimeMs }) => mtimeMs));
    const run = {
      key: `files:${folder.path}`,
      job: around.at(-1) ?? nameOf(folder.path),
      name: folder.name,
      path: folder.path,
      stamp: stampOf([...own, ...folders.flatMap((one) => [...allFiles(one)])]),
      checkpoints,
      read: () => ({ startedAt: Math.min(...times), endedAt: Math.max(...times), outcome: 'completed' as const }),
    };
    return { runs: [run], taken: folders, all: false };
  },
};
