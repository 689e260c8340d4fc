/** Element types of tensors: the number of bits of each, and whether it has statistics. Pure. */

/** Bits by type. Names are those of safetensors; types that it lacks have the frameworks' names. */
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

/** Returns the bits of one element; null: the type is unknown. */
export function bitsOf(dtype: string): number | null {
  const known = BITS.get(dtype);
  if (known !== undefined) return known;
  if (TIME.test(dtype)) return 64;
  const sized = SIZED.exec(dtype);
  return sized && Number(sized[2]) * (sized[1] === 'unicode' ? 32 : 8);
}

/** Returns the bytes of one element; null where that is not an integer, or unknown. */
export function elementBytes(dtype: string): number | null {
  const bits = bitsOf(dtype);
  return bits === null || bits % 8 !== 0 || bits === 0 ? null : bits / 8;
}

/** Returns the bytes of `count` elements, packed without gaps; null: the type is unknown. */
export function bytesOf(dtype: string, count: number): number | null {
  const bits = bitsOf(dtype);
  return bits === null ? null : Math.ceil((count * bits) / 8);
}

/** Explains why a type has no minimum, maximum and mean; null: it has. */
export function noStatisticsOf(dtype: string): string | null {
  if (/^C\d+$/.test(dtype)) return 'complex numbers have no order';
  if (/^Q/.test(dtype)) return 'quantised: its integers have a meaning only with their scales';
  if (/^F6_/.test(dtype)) return 'numbers of 6 bits are not supported';
  if (dtype === 'F128') return 'numbers of 128 bits are not supported';
  if (SIZED.test(dtype) || TIME.test(dtype)) return 'its elements are not numbers';
  return bitsOf(dtype) === null ? 'its type is unknown' : null;
}
