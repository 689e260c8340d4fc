/** Checks a store: reads everything and trusts nothing. */
import { join } from 'node:path';
import { linksIn } from '../../../base/foreign.ts';
import { type Database, openDatabase } from '../../../base/sqlite.ts';
import { isError } from '../../../protocol/errors.ts';
import type { FsckReport } from '../../../protocol/messages/store.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { checkpointOf } from '../checkpoints/body.ts';
import { filesOf, soundBodyOf } from '../checkpoints/writer.ts';
import { failureOf } from '../failures.ts';
import { MAX_ROW } from '../objects/chunks.ts';
import { Objects, rowSum, type SavedRow } from '../objects/objects.ts';
import { foreignInObjects } from '../objects/objects-schema.ts';
import { pagesOf } from '../pages.ts';

type Problem = FsckReport['problems'][number];

/** Checks a store that must not be opened, since it contains foreign entries. Changes nothing. */
export async function lookAtStore(store: string, pause: () => Promise<void>): Promise<FsckReport> {
  const report: FsckReport = { chunks: 0, checkpoints: 0, bytes: 0, problems: [], rebuilt: null };
  const say = (problem: string) =>
    void report.problems.push({ checkpoint: null, chunk: null, problem: `objects.db: ${problem}`, whole: null });
  for (const problem of linksIn(store)) report.problems.push({ checkpoint: null, chunk: null, problem, whole: null });
  let database: Database;
  try {
    database = openDatabase(join(store, 'objects.db'));
  } catch (error) {
    say((error as Error).message);
    return report;
  }
  try {
    const foreign = foreignInObjects(database);
    for (const problem of foreign) say(problem);
    // A foreign table or view with one of our names may return anything, endlessly.
    if (foreign.some((problem) => /^the (table|view) "(meta|chunk|saved|saved_chunk|mark)"/.test(problem)))
      return report;
    const { problems, ...counted } = await checkObjects(new Objects(database), { full: true, mend: false }, pause);
    return { ...report, ...counted, problems: [...report.problems, ...problems] };
  } catch (error) {
    say((error as Error).message);
    return report;
  } finally {
    database.close();
  }
}

/** Compares the catalog with the saved rows, which are the truth. */
export function checkCatalog(objects: Objects, catalog: Catalog): Problem[] {
  const problems: Problem[] = [];
  const say = (problem: string, checkpoint: string | null = null) =>
    problems.push({ checkpoint, chunk: null, problem: `catalog.db: ${problem}; --rebuild rebuilds it`, whole: null });
  const ids = catalog.checkpointIds();
  try {
    for (const row of objects.allSaved('checkpoint')) {
      ids.delete(row.id);
      if (!soundBodyOf(row)) continue;
      const said = JSON.stringify(catalog.checkpoint(row.id));
      if (said !== JSON.stringify(checkpointOf(row, objects.marks(row.seq))))
        say('it disagrees with objects.db', row.id);
    }
  } catch (error) {
    // The truth cannot be read: that problem is reported separately.
    if (failureOf(error) === 'damaged') return problems;
    throw error;
  }
  for (const id of ids) say(`it lists a checkpoint that is not stored (${id})`);
  if (catalog.isSpoilt) say('it contains rows that Trainstash did not write');
  return problems;
}

/** Thoroughness: `full` compares SHA-256 as well, and `mend` then records missing and wrong checksums anew. */
export interface FsckDepth {
  full: boolean;
  mend: boolean;
}

export async function checkObjects(
  objects: Objects,
  depth: FsckDepth,
  pause: () => Promise<void>,
): Promise<Omit<FsckReport, 'rebuilt'>> {
  const problems: Problem[] = [];
  const say = (problem: string, chunk: string | null = null) =>
    void problems.push({ checkpoint: null, chunk, problem, whole: null });
  attempt(say, 'its structure', () => checkStructure(objects.database, say));
  const { chunks, bytes, sound } = await checkChunks(objects, depth, say, pause);
  const rows: SavedRowWithSum[] = [];
  attempt(say, 'the list of checkpoints', () => {
    for (const row of objects.allSaved()) rows.push(row);
  });
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

type Say = (problem: string, chunk?: string | null) => void;
type SavedRowWithSum = SavedRow & { sum: Uint8Array };

/** Runs one check. A page that cannot be read is reported, and does not stop the others. */
function attempt(say: Say, what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (failureOf(error) !== 'damaged' && !(error instanceof RangeError)) throw error;
    say(`objects.db: ${what} cannot be read (${(error as Error).message})`);
  }
}

function checkStructure(database: Database, say: Say): void {
  for (const row of database.prepare('PRAGMA integrity_check(20)').all()) {
    const text = String(Object.values(row)[0]);
    if (text !== 'ok') say(`objects.db: ${text}`);
  }
  if (database.prepare('PRAGMA foreign_key_check').all().length > 0) say('objects.db: a reference has no target');
  for (const [table, key] of [
    ['chunk', 'id'],
    ['saved', 'seq'],
  ] as const) {
    const odd = database.prepare(`SELECT count(*) AS n FROM ${table} WHERE ${key} NOT BETWEEN 1 AND ${MAX_ROW}`).get()!;
    if (Number(odd.n) > 0) say(`objects.db: ${odd.n} rows of ${table} have numbers out of range`);
  }
}

async function checkChunks(objects: Objects, { full, mend }: FsckDepth, say: Say, pause: () => Promise<void>) {
  const sound = new Set<number>();
  let chunks = 0;
  let bytes = 0;
  const page = objects.database.prepare(
    `SELECT id, CASE WHEN size BETWEEN 0 AND ${MAX_ROW} THEN size ELSE 0 END AS size FROM chunk WHERE id > ? AND id <= ${MAX_ROW} ORDER BY id LIMIT 16`,
  );
  const pages = pagesOf<{ id: number; size: number }>(page, 'id');
  for (let more = true; more; ) {
    more = false;
    attempt(say, 'part of its content', () => {
      const rows = pages.next().value ?? [];
      for (const { id, size } of rows) {
        chunks++;
        bytes += size;
        try {
          const { bytes: plain, checksum } = objects.chunk(id, full);
          sound.add(id);
          if (mend && checksum !== 'right') objects.setChecksum(id, plain);
          if (checksum === 'wrong') say(wrongChecksum(id, mend), String(id));
        } catch (error) {
          say((error as Error).message, String(id));
        }
      }
      more = rows.length > 0;
    });
    await pause();
  }
  return { sound, chunks, bytes };
}

function wrongChecksum(id: number, mended: boolean): string {
  const what = `The checksum of stored chunk ${id} is damaged; its bytes are intact`;
  return mended
    ? `${what}. It has been recorded anew.`
    : `${what}, and are still compared with SHA-256. \`trainstash fsck --full\` records it anew.`;
}

function checkRow(
  objects: Objects,
  row: SavedRowWithSum,
  sound: ReadonlySet<number>,
): { chunk: number | null; problem: string } | null {
  if (!rowSum(row).equals(row.sum)) return { chunk: null, problem: 'its description is damaged' };
  try {
    const chunks = filesOf(objects, row).flatMap((file) => file.chunks);
    const bad = chunks.find((chunk) => !sound.has(chunk.id));
    return bad === undefined ? null : { chunk: bad.id, problem: 'one of its chunks is damaged or missing' };
  } catch (error) {
    if (isError(error, 'corrupted')) return { chunk: null, problem: error.message };
    if (failureOf(error) === 'damaged') return { chunk: null, problem: 'the list of its chunks cannot be read' };
    throw error;
  }
}
