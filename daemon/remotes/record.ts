/**
 * Records of runs, as they are on a remote: the run, its sessions, and the points of its metrics that the record before did not have.
 *
 *     8 bytes   magic
 *     4 bytes   size of the head, little-endian
 *     32 bytes  SHA-256 of the head
 *     …         head: JSON, as zstd; it has the SHA-256 of the rest
 *     …         columns of the series, as zstd: steps, values, times, 8 bytes each
 */
import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as v from 'valibot';
import { namedRecord } from '../../protocol/any-names.ts';
import type { Run, Session } from '../../protocol/domain.ts';
import { idSchema } from '../../protocol/session.ts';
import type { ExchangedRun, PointCounts, SeriesPart } from '../store/api/exchange.ts';
import { readRun, readSession } from '../store/catalog/rows.ts';
import { damagedObject } from './drivers/driver.ts';

const MAGIC = Buffer.from('TSTRUN01');
const FIXED_BYTES = MAGIC.length + 4 + 32;
/** Number of points in one record; a longer history takes several. */
const MAX_POINTS = 2_000_000;
export const MAX_RECORD_BYTES = 64 << 20;
const MAX_HEAD_BYTES = 32 << 20;
const MAX_COLUMN_BYTES = MAX_POINTS * 24;
/** Number of bytes that contain the heads of nearly all records. */
export const HEAD_GUESS_BYTES = 64 << 10;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const name = v.pipe(v.string(), v.maxLength(4096));
const headSchema = v.object({
  format: v.literal(1),
  remote: v.string(),
  machine: v.pipe(v.string(), v.maxLength(255)),
  pushedAt: v.number(),
  run: v.unknown(),
  sessions: v.pipe(v.array(v.unknown()), v.maxLength(10_000)),
  totals: namedRecord(idSchema, namedRecord(name, count)),
  series: v.pipe(v.array(v.object({ session: idSchema, name, from: count, count })), v.maxLength(100_000)),
  columns: v.string(),
});

/** Head of a record, checked. `totals` counts the points of this record and of all before it. */
export interface RecordHead {
  remote: string;
  machine: string;
  pushedAt: number;
  run: Run;
  sessions: Session[];
  totals: PointCounts;
  series: { session: string; name: string; from: number; count: number }[];
}

type Facts = Pick<RecordHead, 'remote' | 'machine' | 'pushedAt'>;

/** Encodes what is new about a run, in as many records as it takes; the last one has all totals. */
export function* encodeRecords(facts: Facts, given: ExchangedRun, known: PointCounts): Generator<Uint8Array> {
  let totals: PointCounts = structuredClone(known);
  const rest = [...given.series];
  do {
    const parts: SeriesPart[] = [];
    for (let room = MAX_POINTS; room > 0 && rest.length > 0; ) {
      const { points, ...part } = rest.shift()!;
      const taken = Math.min(room, points.steps.length);
      parts.push({ ...part, points: slice(points, 0, taken) });
      if (taken < points.steps.length)
        rest.unshift({ ...part, from: part.from + taken, points: slice(points, taken, points.steps.length) });
      room -= taken;
      totals = { ...totals, [part.session]: { ...totals[part.session], [part.name]: part.from + taken } };
    }
    yield encode(facts, given, totals, parts);
  } while (rest.length > 0);
}

function encode(facts: Facts, { run, sessions }: ExchangedRun, totals: PointCounts, parts: SeriesPart[]): Uint8Array {
  const columns = parts.flatMap(({ points }) => [points.steps, points.values, points.times]);
  const plain = Buffer.concat(columns.map((one) => Buffer.from(one.buffer, one.byteOffset, one.byteLength)));
  const packed = zstdCompressSync(plain);
  const series = parts.map(({ session, name: metric, from, points }) => ({
    session,
    name: metric,
    from,
    count: points.steps.length,
  }));
  const { remote, machine, pushedAt } = facts;
  const head = zstdCompressSync(
    JSON.stringify({
      format: 1,
      remote,
      machine,
      pushedAt,
      run,
      sessions,
      totals,
      series,
      columns: sumOf(packed, 'hex'),
    }),
  );
  const size = Buffer.alloc(4);
  size.writeUInt32LE(head.length);
  return Buffer.concat([MAGIC, size, sumOf(head), head, packed]);
}

/** Decodes the head; null: more bytes are needed for it. Throws `remoteDamaged`. */
export function decodeHead(remote: string, id: string, key: string, given: Uint8Array, isAll: boolean) {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.length);
  const fail = (problem: string) => damagedObject(remote, key, problem);
  if (bytes.length < FIXED_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw fail('it is no record of a run');
  const end = FIXED_BYTES + bytes.readUInt32LE(MAGIC.length);
  if (end > bytes.length) {
    if (isAll || end > MAX_RECORD_BYTES) throw fail('it is cut off');
    return null;
  }
  const packed = bytes.subarray(FIXED_BYTES, end);
  if (!sumOf(packed).equals(bytes.subarray(MAGIC.length + 4, FIXED_BYTES))) throw fail('its checksum is wrong');
  const parsed = v.safeParse(headSchema, unpackJson(packed));
  if (!parsed.success) throw fail('it is not a record that this version knows');
  const { run: runJson, sessions: sessionsJson, columns, format: _, ...facts } = parsed.output;
  if (facts.remote !== id) throw fail('it belongs to another remote');
  const run = readRun(JSON.stringify(runJson))?.record;
  const sessions = sessionsJson.map((session) => readSession(JSON.stringify(session))?.record);
  if (!run || !sessions.every((session): session is Session => session?.run === run.id))
    throw fail('it does not describe a run');
  const head: RecordHead = { ...facts, run, sessions };
  return { head, columns, columnsFrom: end };
}

/** Decodes a whole record. Throws `remoteDamaged`. */
export function decodeRecord(remote: string, id: string, key: string, bytes: Uint8Array): RecordHead & ExchangedRun {
  const fail = (problem: string) => damagedObject(remote, key, problem);
  const { head, columns, columnsFrom } = decodeHead(remote, id, key, bytes, true)!;
  const packed = bytes.subarray(columnsFrom);
  if (sumOf(packed, 'hex') !== columns) throw fail('its checksum is wrong');
  const points = head.series.reduce((sum, series) => sum + series.count, 0);
  if (points > MAX_POINTS) throw fail('it has more points than a record can have');
  const plain = unpack(packed, MAX_COLUMN_BYTES);
  if (plain?.length !== points * 24) throw fail('it has another number of points than it says');
  const numbers = new Float64Array(plain.buffer.slice(plain.byteOffset, plain.byteOffset + plain.length));
  let at = 0;
  const column = (length: number) => {
    at += length;
    return numbers.slice(at - length, at);
  };
  const series = head.series.map(({ count: length, ...part }) => ({
    ...part,
    count: length,
    points: { steps: column(length), values: column(length), times: column(length) },
  }));
  return { ...head, series };
}

function slice({ steps, values, times }: SeriesPart['points'], from: number, to: number): SeriesPart['points'] {
  return { steps: steps.slice(from, to), values: values.slice(from, to), times: times.slice(from, to) };
}

function sumOf(bytes: Uint8Array): Buffer;
function sumOf(bytes: Uint8Array, encoding: 'hex'): string;
function sumOf(bytes: Uint8Array, encoding?: 'hex'): Buffer | string {
  const hash = createHash('sha256').update(bytes);
  return encoding ? hash.digest(encoding) : hash.digest();
}

function unpack(bytes: Uint8Array, limit: number): Buffer | null {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: limit });
  } catch {
    return null;
  }
}

function unpackJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(unpack(bytes, MAX_HEAD_BYTES)?.toString('utf8') ?? '');
  } catch {
    return undefined;
  }
}
