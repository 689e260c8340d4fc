import { ELEMENT_BYTES, encodeHeader } from '../safetensors.ts';
import { type Out, type OutTensor, UnsupportedTensor } from './out.ts';

const OTHER_TYPES = ['F8_E4M3', 'F8_E5M2'];

/** Ties are written once: `metadata` says which name stands for which, as `safetensors.torch.save_model` does. */
export function writeSafetensors(
  out: Out,
  tensors: readonly OutTensor[],
  metadata: Readonly<Record<string, string>>,
): void {
  const own = tensors.filter(({ tiedTo }) => tiedTo === null);
  const odd = own.find(({ dtype }) => !(dtype in ELEMENT_BYTES) && !OTHER_TYPES.includes(dtype));
  if (odd) throw new UnsupportedTensor(`safetensors has no type for "${odd.name}" (${odd.dtype})`);
  const ties = tensors.flatMap(({ name, tiedTo }) => (tiedTo === null ? [] : [[name, tiedTo]]));
  out.write(encodeHeader(own, { ...metadata, ...Object.fromEntries(ties) }));
  for (const tensor of own) for (const piece of tensor.pieces()) out.write(piece);
}
