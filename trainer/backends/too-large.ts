import { TrainstashError } from '../../protocol/errors.ts';

export function tensorTooLarge(what: string, bytes: number, maxBytes: number): TrainstashError<'tensorTooLarge'> {
  const size = (value: number) => `${Math.round(value / 1e6)} MB`;
  return new TrainstashError(
    'tensorTooLarge',
    `${what} takes ${size(bytes)}, but this GPU can bind at most ${size(maxBytes)}. Earlier checkpoints are safe. Make the batch or that layer smaller, or train with \`--backend wasm\`.`,
    { tensor: what, bytes, maxBytes },
  );
}
