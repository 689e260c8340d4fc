/** Element types of tensors: how many bits each takes, and which have statistics. Pure. */

/** Names are those of safetensors, and for types that it lacks those that the frameworks use. */
const BITS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    F64: 64,
    F32: 32,
    F16: 16,
    BF16: 16,
    F8_E4M3: 8,
    F8_E5M2: 8,
    F8_E8M0: 8,
    F8_E4M3FNUZ: 8,
    F8_E5M2FNUZ: 8,
    F6_E2M3: 6,
    F6_E3M2: 6,
    F4: 4,
    I64: 64,
    I32: 32,
    I16: 16,
    I8: 8,
    U64: 64,
    U32: 32,
    U16: 16,
    U8: 8,
    BOOL: 8,
    C32: 32,
    C64: 64,
    C128: 128,
    QI8: 8,
    QU8: 8,
    QI32: 32,
    QU4X2: 8,
    QU2X4: 8,
    F4X2: 8,
    F128: 128,
  }),
);

/** Fixed-length texts and raw bytes of NumPy: `unicode 10`, `bytes 5`, `record 16`; its times: `datetime64[ns]`. */
const SIZED = /^(unicode|bytes|record) (\d{1,9})$/;
const TIME = /^(datetime|timedelta)64\b/;

/** Null: the type is not known here, nor what it takes. */
export function bitsOf(dtype: string): number | null {
  const known = BITS.get(dtype);
  if (known !== undefined) return known;
  if (TIME.test(dtype)) return 64;
  const sized = SIZED.exec(dtype);
  return sized && Number(sized[2]) * (sized[1] === 'unicode' ? 32 : 8);
}

/** Bytes of one element; null where that is no whole number, or is not known. */
export function elementBytes(dtype: string): number | null {
  const bits = bitsOf(dtype);
  return bits === null || bits % 8 !== 0 || bits === 0 ? null : bits / 8;
}

/** Bytes of so many elements, packed without gaps; null: the type is not known. */
export function bytesOf(dtype: string, count: number): number | null {
  const bits = bitsOf(dtype);
  return bits === null ? null : Math.ceil((count * bits) / 8);
}

/** Why numbers of a type have no smallest, largest and mean; null: they have. */
export function noStatisticsOf(dtype: string): string | null {
  if (/^C\d+$/.test(dtype)) return 'complex numbers have no order';
  if (/^Q/.test(dtype)) return 'quantised: its integers mean something with their scales only';
  if (/^F6_/.test(dtype)) return 'numbers of 6 bits are not read';
  if (dtype === 'F128') return 'numbers of 128 bits are not read';
  if (SIZED.test(dtype) || TIME.test(dtype)) return 'its elements are no numbers';
  return bitsOf(dtype) === null ? 'its type is not known here' : null;
}
