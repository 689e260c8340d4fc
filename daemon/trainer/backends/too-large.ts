import { TrainstashError } from '../../../protocol/errors.ts';

export function tensorTooLarge(what: string, bytes: number, maxBytes: number): TrainstashError<'tensorTooLarge'> {
  const size = (value: number) => `${Math.round(value / 1e6)} MB`;
  return new TrainstashError(
    'tensorTooLarge',
    `${what} takes ${size(bytes)}, and this GPU binds ${size(maxBytes)} at most. Checkpoints up to here are kept. Make it smaller (the batch, or that layer), or train with \`--backend wasm\`.`,
    { tensor: what, bytes, maxBytes },
  );
}
