/** Finds the checkpoint that has kept a file. */
import type { Checkpoint } from '../../../protocol/domain.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { bodyOf } from '../catalog/rows.ts';
import type { Objects } from '../objects/objects.ts';

/** Checkpoints that are looked through: an editor waits. */
const LOOKED_THROUGH = 500;

/** A file as its folder has it now. */
export interface FileNow {
  name: string;
  bytes: number;
  ino: string;
  mtimeMs: number;
}

/** Finds the checkpoint that has kept a file as it is now, as far as stats can tell; null: none of the newest has. */
export function checkpointOfFile(
  { catalog, objects }: { catalog: Catalog; objects: Objects },
  { name, bytes, ino, mtimeMs }: FileNow,
): Checkpoint | null {
  const holds = ({ id }: Checkpoint) => {
    const row = objects.saved(id);
    return row?.kind === 'checkpoint' && bodyOf(row).checkpoint.files.some(isIt);
  };
  const isIt = (file: { name: string; bytes: number; stat?: { ino: string; mtimeMs: number } | undefined }) =>
    file.bytes === bytes &&
    file.stat?.ino === ino &&
    file.stat.mtimeMs === mtimeMs &&
    file.name.slice(file.name.lastIndexOf('/') + 1) === name;
  return catalog.newestCheckpoints(bytes, LOOKED_THROUGH).find(holds) ?? null;
}
