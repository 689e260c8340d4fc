/** Saves and restores files that follow a branch. */

import { forgetKeptFiles, type KeptFileSource, restoreKeptFile, saveKeptFile } from '../checkpoints/restored-files.ts';
import { hasRoomFor, withReserve } from '../maintenance/sweep.ts';
import type { Parts } from './parts.ts';

export function filesApi(parts: Parts) {
  return {
    /**
     * Saves a file. Null when there is no space for it: above the quota, or the disk is nearly full. The file stays
     * where it is.
     */
    async saveFile(source: KeptFileSource): Promise<{ id: string; added: number } | null> {
      const { bytes } = source.expected;
      if ((await parts.takenBytes()) + bytes > parts.quotaBytes || !hasRoomFor(parts.path, bytes)) return null;
      const saved = await saveKeptFile(parts.path, parts.objects, parts.hasher, source);
      parts.follow(() => {});
      return saved;
    },
    restoreFile: (id: string, target: string) => restoreKeptFile(parts.objects, parts, id, target),
    /** Forgets every file but these. Works on a full disk, too. */
    keepOnlyFiles: (ids: readonly string[]): Promise<number> =>
      withReserve(parts.path, async () => {
        const forgotten = forgetKeptFiles(parts.objects, new Set(ids));
        parts.follow(() => {});
        return forgotten;
      }),
  };
}
