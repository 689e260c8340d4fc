/** Tells whether one checkpoint can replace another. */
import type { Objects, SavedFile } from '../objects/objects.ts';

/** Tells whether each file of `part` is also a file of `whole`, with the same content. */
export function holdsAllOf(objects: Objects, whole: string, part: string): boolean {
  const outer = contentOf(objects, whole);
  const inner = contentOf(objects, part);
  return outer !== null && inner !== null && [...inner].every(([name, chunks]) => outer.get(name) === chunks);
}

/** Maps files to the ids of their chunks as a text; equal content is stored once. Null: there is no such checkpoint. */
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
