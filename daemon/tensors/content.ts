/** All tensors of a stored checkpoint, whatever files they are in. */
import { basename } from 'node:path';
import type { Structure, StructuredTensor } from '../../inspector/requests.ts';
import { FITS_FOLDER } from '../../protocol/session.ts';
import { joinPieces } from './joined.ts';
import type { StoredFile, StoreReader } from './stored-file.ts';
import { type StoredTensor, UnpackedFile } from './stored-tensors.ts';

export interface Content {
  /** Tensors in the order of the files. A name that occurs in several files gets the file's name as a prefix. */
  tensors: StoredTensor[];
  /** True if the files hold more than a model, such as an epoch or an optimizer. */
  hasMoreThanModel: boolean;
  /** Files without tensors, or unreadable ones, with the reason. */
  notes: string[];
  /** Files with tensors that are not in the list. */
  incomplete: string[];
  close(): void;
}

/** Structure of a file. `unpacked` is the file that unpacked tensors are read from. */
export interface FoundStructure {
  structure: Structure;
  tensors: StructuredTensor[];
  unpacked: string;
}

/** Finds a file's structure. Null: the file has no tensors, or cannot be read; a note gives the reason. */
export type FindStructure = (file: StoredFile, note: (problem: string) => void) => Promise<FoundStructure | null>;

interface Opened {
  file: StoredFile;
  structure: Structure;
  tensors: StoredTensor[];
  unpacked: UnpackedFile | null;
}

/** Opens a checkpoint. Throws `corrupted`. */
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
    }
  } catch (error) {
    close();
    throw error;
  }
  const pieces: ReadonlySet<unknown> = joinPieces(opened);
  const shown = opened.filter((one) => !pieces.has(one));
  return {
    tensors: withUniqueNames(shown),
    hasMoreThanModel: shown.some(({ structure }) => isBox(structure)),
    notes: [
      ...notes,
      ...shown.flatMap(({ file, structure }) => structure.notes.map((note) => `${file.name}: ${note}`)),
    ],
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

function withUniqueNames(opened: readonly Opened[]): StoredTensor[] {
  const seen = new Map<string, number>();
  for (const { tensors } of opened) for (const { name } of tensors) seen.set(name, (seen.get(name) ?? 0) + 1);
  const stems = opened.map(({ file }) => stem(file.name));
  return opened.flatMap(({ file, tensors }, i) => {
    // Files of one checkpoint that differ only in a number (ranks, shards) keep it.
    const prefix = stems.indexOf(stems[i]!) === stems.lastIndexOf(stems[i]!) ? stems[i]! : withoutEnding(file.name);
    const unique = (name: string) => (seen.get(name)! > 1 && opened.length > 1 ? `${prefix}.${name}` : name);
    return tensors.map((tensor) => ({
      ...tensor,
      name: unique(tensor.name),
      tiedTo: tensor.tiedTo === null ? null : unique(tensor.tiedTo),
    }));
  });
}

/**
 * Tells whether a file holds more than a model. A safetensors file always has metadata; one from the built-in trainer
 * holds a whole training.
 */
function isBox({ format, hasValues, isTraining }: Structure): boolean {
  return format === 'safetensors' ? isTraining : hasValues;
}

/**
 * Returns a name that is equal for files with the same role in two checkpoints: `model_epoch_12.pdparams` →
 * `model_epoch`.
 */
function stem(name: string): string {
  return withoutEnding(name).replaceAll(/[_\-.]?\d+/g, '');
}

function withoutEnding(name: string): string {
  return basename(name).replace(/\.\w+$/, '');
}
