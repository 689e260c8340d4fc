/**
 * W&B's local and offline runs: `run-….wandb` in `wandb/run-*` and `wandb/offline-run-*`. The file is a log of blocks as
 * LevelDB has them, with records of protocol buffers. Source of the field numbers: wandb/proto/wandb_internal.proto.
 */
import { FormatError } from '../../formats/format-error.ts';
import { fieldsOf, textOf } from '../../formats/protobuf.ts';
import type { ReadRun } from '../../protocol/imports.ts';
import { checkpointsIn } from '../checkpoints.ts';
import type { Points } from '../points.ts';
import { type Source, stampOf } from '../source.ts';
import { isRecord, plain, readJsonFile } from '../text.ts';
import { below, type Folder, fileIn } from '../walk.ts';
import { recordsOf } from '../wandb-log.ts';

const RECORD = { history: 2, config: 5, run: 17, exit: 18 } as const;
const MOST_DEPTH = 20;
/** Keys that W&B itself adds to each entry of the history. */
const OWN = /^_(step|runtime|timestamp|wandb)$/;

export const wandb: Source = {
  tool: 'W&B',
  find(folder, { around, tell }) {
    const log = folder.files.find(({ name }) => /^run-[\w-]+\.wandb$/.test(name));
    if (!log) return null;
    const id = log.name.slice('run-'.length, -'.wandb'.length);
    const run = {
      key: `W&B:${folder.name}:${id}`,
      job: around.filter((name) => name !== 'wandb').at(-1) ?? 'wandb',
      name: id,
      path: folder.path,
      stamp: stampOf([log]),
      checkpoints: checkpointsIn(below(folder, 'files') ?? { ...folder, files: [], folders: [] }, tell),
      read: (points: Points) => readLog(log.path, folder, points),
    };
    return { runs: [run], taken: folder.folders, all: true };
  },
};

interface Known {
  config: Record<string, unknown>;
  note: string;
  name: string;
  startedAt: number | null;
  exit: number | null;
}

function readLog(path: string, folder: Folder, points: Points): Partial<ReadRun> {
  const known: Known = { config: {}, note: '', name: '', startedAt: null, exit: null };
  for (const record of recordsOf(path)) {
    if (record === null) {
      points.leftOut++;
      continue;
    }
    if (!readRecord(record, known, points)) points.leftOut++;
  }
  const metadata = readJsonFile(fileIn(below(folder, 'files'), 'wandb-metadata.json')?.path ?? '');
  const commit = isRecord(metadata) && isRecord(metadata.git) ? metadata.git.commit : null;
  return {
    params: plain(withoutOwn(known.config)),
    note: [known.name, known.note].filter(Boolean).join(': ').slice(0, 1_000),
    startedAt: known.startedAt,
    outcome: known.exit === null ? 'lost' : known.exit === 0 ? 'completed' : 'failed',
    ...(typeof commit === 'string' && /^[0-9a-f]{40}$/.test(commit) ? { commit } : {}),
  };
}

/** Reads one record. False: it is damaged, and what was read of it before stays. */
function readRecord(record: Uint8Array, known: Known, points: Points): boolean {
  try {
    for (const { number, bytes } of fieldsOf(record)) {
      if (!bytes) continue;
      if (number === RECORD.history) readHistory(bytes, points);
      else if (number === RECORD.config) readConfig(bytes, known.config);
      else if (number === RECORD.run) readRun(bytes, known);
      else if (number === RECORD.exit) known.exit = exitOf(bytes);
    }
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** Reads one entry: items of a key and a value in JSON, and the step. */
function readHistory(bytes: Uint8Array, points: Points): void {
  const values: [string, unknown][] = [];
  let step: number | null = null;
  let time: number | null = null;
  for (const field of fieldsOf(bytes)) {
    if (!field.bytes) continue;
    if (field.number === 2) step = Number(varintIn(field.bytes, 1) ?? 0n);
    if (field.number !== 1) continue;
    const item = itemOf(field.bytes);
    if (item.key === '_step' && typeof item.value === 'number') step ??= item.value;
    else if (item.key === '_timestamp' && typeof item.value === 'number') time = item.value * 1000;
    else if (!OWN.test(item.key)) values.push([item.key, item.value]);
  }
  for (const [key, value] of values)
    for (const [name, number] of numbersIn(key, value)) points.add(name, step ?? 0, number, time);
}

/** Yields the numbers of a value; those of nested ones have dots in their names. */
function* numbersIn(name: string, value: unknown, depth = 0): Generator<[string, number]> {
  if (typeof value === 'number') yield [name, value];
  else if (value === 'NaN') yield [name, Number.NaN];
  else if (value === 'Infinity' || value === '-Infinity') yield [name, Number(value)];
  else if (depth < MOST_DEPTH && isRecord(value) && !('_type' in value))
    for (const [key, one] of Object.entries(value)) yield* numbersIn(`${name}.${key}`, one, depth + 1);
}

interface Item {
  key: string;
  value: unknown;
}

function itemOf(bytes: Uint8Array): Item {
  let key = '';
  const nested: string[] = [];
  let value: unknown;
  for (const field of fieldsOf(bytes)) {
    if (!field.bytes) continue;
    if (field.number === 1) key = textOf(field.bytes);
    else if (field.number === 2) nested.push(textOf(field.bytes));
    else if (field.number === 16) value = jsonOf(textOf(field.bytes));
  }
  return { key: nested.length > 0 ? nested.join('.') : key, value };
}

/** Parses JSON as Python writes it, with NaN and infinities. */
function jsonOf(text: string): unknown {
  if (/^-?(NaN|Infinity)$/.test(text)) return text.replace('-NaN', 'NaN');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readConfig(bytes: Uint8Array, config: Record<string, unknown>): void {
  for (const field of fieldsOf(bytes)) {
    if (!field.bytes || (field.number !== 1 && field.number !== 2)) continue;
    const { key, value } = itemOf(field.bytes);
    if (key === '' || key === '__proto__') continue;
    if (field.number === 1) config[key] = value;
    else delete config[key];
  }
}

function readRun(bytes: Uint8Array, known: Known): void {
  for (const { number, bytes: own } of fieldsOf(bytes)) {
    if (!own) continue;
    if (number === 4) readConfig(own, known.config);
    else if (number === 8) known.name = textOf(own);
    else if (number === 9) known.note = textOf(own);
    else if (number === 17) known.startedAt = Number(varintIn(own, 1) ?? 0n) * 1000 || null;
  }
}

function exitOf(bytes: Uint8Array): number {
  return Number(BigInt.asIntN(32, varintIn(bytes, 1) ?? 0n));
}

function varintIn(bytes: Uint8Array, number: number): bigint | null {
  for (const field of fieldsOf(bytes)) if (field.number === number && field.varint !== undefined) return field.varint;
  return null;
}

function withoutOwn(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name !== '_wandb'));
}
