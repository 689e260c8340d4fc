/** Reads everything and believes nothing. */
import type { FsckReport } from '../../protocol/messages.ts';
import { type Objects, rowSum, type SavedRow } from './objects.ts';
import type { CheckpointBody } from './saving.ts';

type Problem = FsckReport['problems'][number];

export async function checkObjects(objects: Objects, pause: () => Promise<void>): Promise<Omit<FsckReport, 'rebuilt'>> {
  const problems: Problem[] = [];
  const { database } = objects;
  const say = (problem: string, chunk: string | null = null, checkpoint: string | null = null) =>
    problems.push({ checkpoint, chunk, problem, whole: null });

  for (const row of database.prepare('PRAGMA integrity_check(20)').all()) {
    const text = String(Object.values(row)[0]);
    if (text !== 'ok') say(`objects.db: ${text}`);
  }
  if (database.prepare('PRAGMA foreign_key_check').all().length > 0) say('objects.db: a reference points to nothing');

  const sound = new Set<number>();
  let chunks = 0;
  let bytes = 0;
  const page = database.prepare('SELECT id, size FROM chunk WHERE id > ? ORDER BY id LIMIT 16');
  for (let after = 0; ; ) {
    const rows = page.all(after);
    if (rows.length === 0) break;
    for (const row of rows) {
      chunks++;
      bytes += Number(row.size);
      try {
        objects.chunk(Number(row.id));
        sound.add(Number(row.id));
      } catch (error) {
        say((error as Error).message, String(row.id));
      }
    }
    after = Number(rows[rows.length - 1]!.id);
    await pause();
  }

  const rows = [...objects.allSaved()];
  const broken = new Map<SavedRow, { chunk: number | null; problem: string }>();
  for (const row of rows) {
    const problem = checkRow(objects, row, sound);
    if (problem) broken.set(row, problem);
  }
  for (const [row, { chunk, problem }] of broken) {
    const whole = rows.filter((other) => other.run === row.run && other.seq < row.seq && !broken.has(other)).at(-1);
    problems.push({
      checkpoint: row.id,
      chunk: chunk === null ? null : String(chunk),
      problem,
      whole: whole?.id ?? null,
    });
  }
  return { chunks, checkpoints: rows.filter(({ kind }) => kind === 'checkpoint').length, bytes, problems };
}

function checkRow(
  objects: Objects,
  row: SavedRow & { sum: Uint8Array },
  sound: ReadonlySet<number>,
): { chunk: number | null; problem: string } | null {
  if (!rowSum(row).equals(row.sum)) return { chunk: null, problem: 'its description is damaged' };
  const chunks = objects.chunksOf(row.seq);
  const { files } = JSON.parse(row.body) as CheckpointBody;
  const wanted = files.reduce((sum, file) => sum + file.chunks, 0);
  if (chunks.length !== wanted)
    return { chunk: null, problem: `${wanted - chunks.length} of its ${wanted} chunks are not listed` };
  const bad = chunks.find((chunk) => !sound.has(chunk));
  return bad === undefined ? null : { chunk: bad, problem: 'one of its chunks is damaged or missing' };
}
