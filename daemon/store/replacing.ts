/** Whether one checkpoint can take the place of another. */
import type { Objects, SavedFile } from './objects.ts';

/** Each file of `part` is a file of `whole` as well, with the same content. */
export function holdsAllOf(objects: Objects, whole: string, part: string): boolean {
  const outer = contentOf(objects, whole);
  const inner = contentOf(objects, part);
  return outer !== null && inner !== null && [...inner].every(([name, chunks]) => outer.get(name) === chunks);
}

/** By file, the ids of its chunks as a text; equal content is stored once. Null: there is no such checkpoint. */
function contentOf(objects: Objects, id: string): Map<string, string> | null {
  const row = objects.saved(id);
  if (!row) return null;
  const { files } = JSON.parse(row.body) as { files: SavedFile[] };
  const chunks = objects.chunksOf(row.seq);
  let from = 0;
  return new Map(
    files.map(({ name, chunks: count }) => {
      const own = chunks.slice(from, from + count).join();
      from += count;
      return [name, own];
    }),
  );
}
