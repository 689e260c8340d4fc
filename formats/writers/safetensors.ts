import { encodeHeader } from '../safetensors.ts';
import { type Out, type OutTensor, UnsupportedTensor } from './out.ts';

const TYPES = new Set(
  'F64 F32 F16 BF16 F8_E4M3 F8_E5M2 F8_E8M0 I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64 F8_E4M3FNUZ F8_E5M2FNUZ F6_E2M3 F6_E3M2 F4'.split(
    ' ',
  ),
);

/** Writes tensors. Tied ones are written once: `metadata` maps the names, as `safetensors.torch.save_model` does. */
export function writeSafetensors(
  out: Out,
  tensors: readonly OutTensor[],
  metadata: Readonly<Record<string, string>>,
): void {
  const own = tensors.filter(({ tiedTo }) => tiedTo === null);
  const odd = own.find(({ dtype }) => !TYPES.has(dtype));
  if (odd) throw new UnsupportedTensor(`safetensors has no type for "${odd.name}" (${odd.dtype})`);
  const ties = tensors.flatMap(({ name, tiedTo }) => (tiedTo === null ? [] : [[name, tiedTo]]));
  out.write(encodeHeader(own, { ...metadata, ...Object.fromEntries(ties) }));
  for (const tensor of own) for (const piece of tensor.pieces()) out.write(piece);
}
