/**
 * Reads the `.metadata` file of a distributed checkpoint of torch (DCP): names and types of its tensors. Their numbers
 * are in shards next to it. Source: torch/distributed/checkpoint/metadata.py.
 */

import { bytesOf } from './dtypes.ts';
import { blankInspection, checkedCount, type Inspection, type PlacedTensor } from './inspection.ts';
import { PickleDict, PickleGlobal, PickleObject, PickleTuple, type PickleValue } from './pickle-values.ts';
import { numbersOf, torchDtype } from './pickled-tensors.ts';

const MODULE = 'torch.distributed.checkpoint.metadata';

/** Reads the metadata; null: another kind of pickle. */
export function inspectMetadata(root: PickleValue, bytes: number): Inspection | null {
  if (!isInstance(root, 'Metadata')) return null;
  const entries = attribute(root, 'state_dict_metadata');
  if (!(entries instanceof PickleDict)) return null;
  const inspection = blankInspection('torch distributed', bytes);
  for (const [name, described] of entries.entries) {
    if (typeof name !== 'string') continue;
    const tensor = tensorOf(name, described);
    if (tensor) {
      inspection.tensors.push(tensor);
      inspection.elements += checkedCount(tensor.shape);
    } else if (++inspection.valueCount <= MAX_VALUES) inspection.values.push({ name, value: '… in a shard' });
  }
  inspection.notes.push(
    'It names the tensors of a distributed checkpoint (DCP). Their numbers are in the shards next to it.',
  );
  return inspection;
}

const MAX_VALUES = 5_000;

function tensorOf(name: string, described: PickleValue): PlacedTensor | null {
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
