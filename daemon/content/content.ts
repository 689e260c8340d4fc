/** All tensors of a stored checkpoint, whatever files they are in. */
import { basename } from 'node:path';
import { FITS_FOLDER } from '../../protocol/session.ts';
import type { Structure, StructuredTensor } from '../inspector/requests.ts';
import type { StoredFile, StoreReader } from './stored-file.ts';
import { type StoredTensor, UnpackedFile } from './stored-tensors.ts';

export interface Content {
  /** In the order of the files. A name that several files have begins with the file's. */
  tensors: StoredTensor[];
  /** They hold more than a model: an epoch, an optimizer. */
  isBox: boolean;
  /** Files that are none with tensors, or cannot be read, and why. */
  notes: string[];
  /** Files that hold tensors that are not among these. */
  incomplete: string[];
  close(): void;
}

/** What was found out about a file. `unpacked`: what the tensors that say so are read from. */
export interface FoundStructure {
  structure: Structure;
  tensors: StructuredTensor[];
  unpacked: string;
}

/** Null: the file is none with tensors, or cannot be read; why is said in a note. */
export type FindStructure = (file: StoredFile, note: (problem: string) => void) => Promise<FoundStructure | null>;

interface Opened {
  file: StoredFile;
  structure: Structure;
  tensors: StoredTensor[];
  unpacked: UnpackedFile | null;
}

/** Throws `corrupted`. */
export async function openContent(
  reader: StoreReader,
  checkpoint: string,
  findStructure: FindStructure,
): Promise<Content> {
  const opened: Opened[] = [];
  const notes: string[] = [];
  const close = () => {
    for (const { unpacked } of opened) unpacked?.close();
  };
  try {
    for (const file of reader.open(checkpoint)) {
      if (file.name.startsWith(FITS_FOLDER)) continue; // Of models that were trained before this one.
      const found = await findStructure(file, (problem) => notes.push(`${file.name}: ${problem}`));
      if (found === null) continue;
      opened.push(withSources(file, found));
      notes.push(...found.structure.notes.map((note) => `${file.name}: ${note}`));
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    tensors: namedApart(opened),
    isBox: opened.some(({ structure }) => isBox(structure)),
    notes,
    incomplete: opened.flatMap(({ file, structure }) => (structure.isComplete ? [] : [file.name])),
    close,
  };
}

function withSources(file: StoredFile, { structure, tensors, unpacked: path }: FoundStructure): Opened {
  const unpacked = structure.unpackedBytes > 0 ? new UnpackedFile(path) : null;
  const placed = tensors.map(({ place, ...tensor }): StoredTensor => {
    if (place === null) return { ...tensor, place, source: file };
    const { offset, bytes, isUnpacked } = place;
    return { ...tensor, place: { offset, bytes }, source: isUnpacked ? unpacked! : file };
  });
  return { file, structure, tensors: placed, unpacked };
}

function namedApart(opened: readonly Opened[]): StoredTensor[] {
  const seen = new Map<string, number>();
  for (const { tensors } of opened) for (const { name } of tensors) seen.set(name, (seen.get(name) ?? 0) + 1);
  const stems = opened.map(({ file }) => stem(file.name));
  return opened.flatMap(({ file, tensors }, i) => {
    // Files of one checkpoint that differ in a number alone (ranks, shards) keep it.
    const before = stems.indexOf(stems[i]!) === stems.lastIndexOf(stems[i]!) ? stems[i]! : withoutEnding(file.name);
    const unique = (name: string) => (seen.get(name)! > 1 && opened.length > 1 ? `${before}.${name}` : name);
    return tensors.map((tensor) => ({
      ...tensor,
      name: unique(tensor.name),
      tiedTo: tensor.tiedTo === null ? null : unique(tensor.tiedTo),
    }));
  });
}

/** A safetensors file says something of itself in any case; one of our trainer's holds a whole training. */
function isBox({ format, hasValues, isTraining }: Structure): boolean {
  return format === 'safetensors' ? isTraining : hasValues;
}

/** Equal for the files of two checkpoints that play the same part: `model_epoch_12.pdparams` → `model_epoch`. */
function stem(name: string): string {
  return withoutEnding(name).replaceAll(/[_\-.]?\d+/g, '');
}

function withoutEnding(name: string): string {
  return basename(name).replace(/\.\w+$/, '');
}
