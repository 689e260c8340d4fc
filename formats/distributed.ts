/**
 * Reads the `.metadata` file of a distributed checkpoint of torch (DCP): names and types of its tensors. Their numbers
 * are in shards next to it. Source: torch/distributed/checkpoint/metadata.py.
 */

import { bytesOf } from './dtypes.ts';
import { blankInspection, checkedCount, type Inspection, type PlacedTensor, type TensorPart } from './inspection.ts';
import { PickleDict, PickleGlobal, PickleList, PickleObject, PickleTuple, type PickleValue } from './pickle-values.ts';
import { numbersOf, torchDtype } from './pickled-tensors.ts';

const MODULE = 'torch.distributed.checkpoint.metadata';

/** Reads the metadata; null: another kind of pickle. */
export function inspectMetadata(root: PickleValue, bytes: number): Inspection | null {
  if (!isInstance(root, 'Metadata')) return null;
  const entries = attribute(root, 'state_dict_metadata');
  if (!(entries instanceof PickleDict)) return null;
  const inspection = blankInspection('torch distributed', bytes);
  const stored = storedPieces(attribute(root, 'storage_data'));
  for (const [name, described] of entries.entries) {
    if (typeof name !== 'string') continue;
    const tensor = tensorOf(name, described, stored);
    if (tensor) {
      inspection.tensors.push(tensor);
      inspection.elements += checkedCount(tensor.shape);
    } else if (++inspection.valueCount <= MAX_VALUES) inspection.values.push({ name, value: '… in a shard' });
  }
  inspection.notes.push(
    'It names the tensors of a distributed checkpoint (DCP). Their numbers are in the shards next to it, from which export and diff put them together.',
  );
  return inspection;
}

const MAX_VALUES = 5_000;

type Stored = Pick<TensorPart, 'file' | 'offset' | 'bytes'>;

/** Finds where each piece is, by the tensor's name and the piece's first element. */
function storedPieces(storage: PickleValue): Map<string, Stored> {
  const found = new Map<string, Stored>();
  if (!(storage instanceof PickleDict)) return found;
  for (const [index, info] of storage.entries) {
    if (!isInstance(index, 'MetadataIndex') || !(info instanceof PickleObject)) continue;
    const [name, at] = [attribute(index, 'fqn'), numbersOf(attribute(index, 'offset'))];
    const [file, range] = [
      attribute(info, 'relative_path'),
      numbersOf(new PickleTuple([attribute(info, 'offset'), attribute(info, 'length')])),
    ];
    if (typeof name === 'string' && at && typeof file === 'string' && range)
      found.set(keyOf(name, at), { file, offset: range[0]!, bytes: range[1]! });
  }
  return found;
}

function keyOf(name: string, offsets: readonly number[]): string {
  return `${offsets.join()}:${name}`;
}

/** Lists the pieces of a tensor; undefined: not all of them are described. */
function partsOf(name: string, described: PickleObject, stored: Map<string, Stored>): TensorPart[] | undefined {
  const chunks = attribute(described, 'chunks');
  if (!(chunks instanceof PickleList)) return undefined;
  const parts: TensorPart[] = [];
  for (const chunk of chunks.items) {
    if (!isInstance(chunk, 'ChunkStorageMetadata')) return undefined;
    const [offsets, sizes] = [numbersOf(attribute(chunk, 'offsets')), numbersOf(attribute(chunk, 'sizes'))];
    const place = offsets && stored.get(keyOf(name, offsets));
    if (!offsets || !sizes || !place) return undefined;
    parts.push({ offsets, sizes, ...place });
  }
  return parts;
}

function tensorOf(name: string, described: PickleValue, stored: Map<string, Stored>): PlacedTensor | null {
  if (!isInstance(described, 'TensorStorageMetadata')) return null;
  const shape = numbersOf(attribute(described, 'size'));
  const dtype = torchDtype(typeOf(attribute(described, 'properties')));
  if (!shape || dtype === null) return null;
  const remark = 'no data: its numbers are in shards';
  return {
    name,
    dtype,
    shape,
    bytes: bytesOf(dtype, checkedCount(shape)),
    tiedTo: null,
    stride: null,
    place: null,
    remark,
    parts: partsOf(name, described, stored),
  };
}

/**
 * Returns the pickled type. `TensorProperties` are pickled as a tuple that begins with the type; in older versions as
 * attributes.
 */
function typeOf(properties: PickleValue): PickleValue {
  if (!(properties instanceof PickleObject)) return null;
  if (properties.state instanceof PickleTuple) return properties.state.items[0] ?? null;
  return attribute(properties, 'dtype');
}

function isInstance(value: PickleValue, name: string): value is PickleObject {
  return (
    value instanceof PickleObject &&
    value.callable instanceof PickleGlobal &&
    value.callable.name === `${MODULE}.${name}`
  );
}

function attribute({ state }: PickleObject, name: string): PickleValue {
  return state instanceof PickleDict ? (state.entries.find(([key]) => key === name)?.[1] ?? null) : null;
}
