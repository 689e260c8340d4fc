/** Reads files of torch: zips with a pickle and storages, and the older format, pickles followed by storages. */
import type { Budget } from './budget.ts';
import { type Contents, contentsOf } from './contents.ts';
import { inspectMetadata } from './distributed.ts';
import { elementBytes } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { blankInspection, type Inspection, placeTensors, type Span } from './inspection.ts';
import { readPickle } from './pickle.ts';
import { PickleList, type PickleValue } from './pickle-values.ts';
import { unpackedEntry } from './unpacked.ts';
import type { Read } from './window.ts';
import { dataOffset, readZip, type ZipEntry, type ZipFile } from './zip.ts';

/** Limit of the pickle next to the storages: a larger one is not a structure. */
const MAX_PICKLE_BYTES = 1 << 30;
/** Limit of consecutive archives with one tensor each, as in shards of a distributed checkpoint. */
const MAX_ARCHIVES = 100_000;
const TORCH_LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;

/** Inspects an archive; null: it has no structure of torch. */
export function inspectTorch(read: Read, bytes: number, zip: ZipFile, budget: Budget): Inspection | null {
  const last = inspectArchive(read, bytes, zip, budget);
  if (last === null || zip.before === 0) return last;
  const archives = archivesBefore(read, zip.before, budget);
  if (archives === null)
    return {
      ...last,
      notes: [
        ...last.notes,
        `${zip.before.toLocaleString('en-US')} bytes before its last archive are not shown; torch.load refuses such a file.`,
      ],
      isComplete: false,
    };
  return merged(bytes, [...archives, last]);
}

/** Reads a single pickle: Paddle's files, and those of torch before 1.6. */
export function inspectPickle(read: Read, bytes: number, budget: Budget): Inspection {
  const first = readPickle(read, { start: 0, end: bytes, budget });
  if (first.value === TORCH_LEGACY_MAGIC) return inspectLegacy(read, bytes, first.end, budget);
  const distributed = inspectMetadata(first.value, bytes);
  if (distributed) return distributed;
  const contents = contentsOf(first.value, budget);
  const storages = { find: () => null, read, offset: 0 };
  return {
    ...blankInspection('pickle', bytes),
    ...summaryOf(contents),
    ...placeTensors(contents.tensors, storages, budget),
  };
}

function inspectArchive(read: Read, bytes: number, { entries }: ZipFile, budget: Budget): Inspection | null {
  const pickle = entries.find(({ name }) => /(^|\/)data\.pkl$/.test(name));
  if (!pickle) return null;
  if (pickle.bytes > MAX_PICKLE_BYTES) throw new FormatError('its structure is too large to be read');
  const prefix = pickle.name.slice(0, -'data.pkl'.length);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const source = pickleSource(read, bytes, pickle, budget);
  const contents = contentsOf(readPickle(source.read, { start: 0, end: pickle.bytes, budget }).value, budget);
  const find = (storage: string): Span | null => {
    const entry = byName.get(`${prefix}data/${storage}`);
    return entry?.method === 0 ? { offset: dataOffset(read, entry, bytes), bytes: entry.bytes } : null;
  };
  const storages = { find: memoized(find), ...source };
  const notes = entries.some(({ name }) => name === `${prefix}constants.pkl`)
    ? ['It is a TorchScript model: its code is not shown.']
    : [];
  const inspection = {
    ...blankInspection('torch', bytes),
    ...summaryOf(contents),
    version: versionOf(contents.values),
  };
  return {
    ...inspection,
    ...placeTensors(contents.tensors, storages, budget),
    notes: [...inspection.notes, ...notes],
  };
}

/** Returns the pickle as a separate file: in place, or unpacked in memory. */
function pickleSource(
  read: Read,
  bytes: number,
  entry: ZipEntry,
  budget: Budget,
): { read: Read; offset: number | null } {
  if (entry.method === 0) {
    const offset = dataOffset(read, entry, bytes);
    return { read: (at, length) => read(offset + at, Math.min(length, entry.bytes - at)), offset };
  }
  const unpacked = unpackedEntry(read, bytes, entry, budget);
  return { read: (at, length) => unpacked.subarray(at, at + length), offset: null };
}

/** Reads the archives that fill the first `end` bytes, in file order; null: something else is there. */
function archivesBefore(read: Read, end: number, budget: Budget): Inspection[] | null {
  const found: Inspection[] = [];
  for (let left = end; left > 0; ) {
    if (found.length === MAX_ARCHIVES) return null;
    try {
      const zip = readZip(read, left, budget);
      const inspection = inspectArchive(read, left, zip, budget);
      if (inspection === null) return null;
      found.push(inspection);
      left = zip.before;
    } catch (error) {
      if (error instanceof FormatError) return null;
      throw error;
    }
  }
  return found.reverse();
}

/** Merges the tensors of all archives into one list. */
function merged(bytes: number, archives: readonly Inspection[]): Inspection {
  const prefix = (i: number, name: string) => `item ${i}${name === 'tensor' ? '' : `.${name}`}`;
  return {
    ...archives[0]!,
    bytes,
    tensors: archives.flatMap(({ tensors }, i) =>
      tensors.map((tensor) => ({
        ...tensor,
        name: prefix(i, tensor.name),
        tiedTo: tensor.tiedTo === null ? null : prefix(i, tensor.tiedTo),
      })),
    ),
    elements: archives.reduce((sum, { elements }) => sum + elements, 0),
    values: archives.flatMap(({ values }, i) => values.map((value) => ({ ...value, name: prefix(i, value.name) }))),
    valueCount: archives.reduce((sum, { valueCount }) => sum + valueCount, 0),
    classes: archives.flatMap(({ classes }) => classes),
    notes: [
      `It contains ${archives.length.toLocaleString('en-US')} consecutive archives. A shard of a distributed checkpoint looks like that, and the file ".metadata" next to it has the names. torch.load cannot read such a file.`,
      ...new Set(archives.flatMap(({ notes }) => notes)),
    ],
    isComplete: archives.every(({ isComplete }) => isComplete),
  };
}

/**
 * Inspects the older format: magic number, protocol, machine, the object, keys of storages, then each storage: its
 * length and its elements.
 */
function inspectLegacy(read: Read, bytes: number, start: number, budget: Budget): Inspection {
  let at = start;
  const next = (): PickleValue => {
    const { value, end } = readPickle(read, { start: at, end: bytes, budget });
    at = end;
    return value;
  };
  next();
  next();
  const root = next();
  const keys = next();
  const contents = contentsOf(root, budget);
  const places = new Map<string, Span>();
  const sizes = new Map(contents.tensors.map((tensor) => [tensor.storage, elementBytes(tensor.dtype)]));
  if (keys instanceof PickleList) {
    for (const key of keys.items) {
      const length = Buffer.from(read(at, 8));
      const size = length.length < 8 ? -1 : Number(length.readBigInt64LE(0)) * (sizes.get(String(key)) ?? 1);
      if (size < 0 || at + 8 + size > bytes)
        throw new FormatError(`it is truncated after ${bytes.toLocaleString('en-US')} bytes: its storages are missing`);
      places.set(String(key), { offset: at + 8, bytes: size });
      at += 8 + size;
    }
  }
  const storages = { find: (storage: string) => places.get(storage) ?? null, read, offset: 0 };
  return {
    ...blankInspection('torch (before 1.6)', bytes),
    ...summaryOf(contents),
    ...placeTensors(contents.tensors, storages, budget),
  };
}

function summaryOf({ values, valueCount, classes, truncated }: Contents) {
  return {
    values,
    valueCount,
    classes: [...classes].map(([name, count]) => ({ name, count })),
    notes: truncated ? ['The file has more than is shown: its structure is too deep or too large.'] : [],
    isComplete: !truncated,
  };
}

/** Finds the version that Lightning and Transformers record; torch itself records none. */
function versionOf(values: readonly { name: string; value: unknown }[]): string | null {
  const found = values.find(({ name }) =>
    /^(pytorch-lightning_version|lightning_version|transformers_version)$/.test(name),
  );
  return found ? `${found.name.replace('_version', '')} ${found.value}` : null;
}

function memoized<T>(find: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    const before = known.get(key);
    if (before !== undefined || known.has(key)) return before as T;
    const found = find(key);
    known.set(key, found);
    return found;
  };
}
