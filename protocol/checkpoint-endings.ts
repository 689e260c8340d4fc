/** Endings of files that hold checkpoints. What names, code snapshots and editors recognise follows from these lists. */

/** Formats that hold training state and little else. */
export const STATE_ENDINGS = [
  'pt',
  'pth',
  'pth.tar',
  'ckpt',
  'safetensors',
  'pdparams',
  'pdopt',
  'pdstates',
  'keras',
  'distcp',
] as const;
/** Formats that may hold data as well as state. */
export const ARRAY_ENDINGS = ['h5', 'hdf5', 'npz'] as const;

/** Makes a pattern of a dot and one of these endings, as the end of a name; `behind` follows it. */
export function endingIn(endings: readonly string[], behind = '$', flags = 'i'): RegExp {
  return new RegExp(
    String.raw`\.(?:${endings.map((ending) => ending.replaceAll('.', String.raw`\.`)).join('|')})${behind}`,
    flags,
  );
}
