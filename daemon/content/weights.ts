/** Which tensors of a checkpoint are its model's weights, and what the model calls them. Pure. */
import { partOf } from './names.ts';

/** Boxes that a file is made of, and what wrappers of a model add: never a model's own names. */
const BOXES = ['state_dict', 'model_state_dict', 'module', '_orig_mod'];
/** Boxes too, but also what models call a part of themselves: only in a file that holds other things beside them. */
const MODELS = ['model', 'net', 'network'];

export interface Named {
  name: string;
}

export interface ChosenWeights<T extends Named> {
  tensors: { tensor: T; name: string }[];
  /** What names began with, and do not any more. */
  stripped: string;
}

/** `isBox`: the file holds more than a model (an optimizer, an epoch), so that the model has a key of its own. */
export function chooseWeights<T extends Named>(
  tensors: readonly T[],
  isBox: boolean,
  strip: string | null,
): ChosenWeights<T> {
  const weights = tensors.filter(({ name }) => partOf(name) === 'weights');
  const begins = (prefix: string) => weights.some(({ name }) => name.startsWith(prefix));
  const stripped =
    strip !== null ? (begins(strip) ? strip : '') : commonPrefix(weights, isBox || weights.length < tensors.length);
  const names = weights.map(({ name }) =>
    withoutCompiled(name.startsWith(stripped) ? name.slice(stripped.length) : name),
  );
  // A model and its compiled self in one file: without the word they would be one.
  const told = new Set(names).size === names.length ? names : weights.map(({ name }) => name);
  return {
    tensors: weights.map((tensor, i) => ({ tensor, name: told[i]! })),
    stripped: told === names ? stripped : '',
  };
}

function commonPrefix(weights: readonly Named[], isBox: boolean): string {
  let prefix = '';
  for (;;) {
    const word = /^([^./]+)[./]/.exec(weights[0]?.name.slice(prefix.length) ?? '');
    const known = word !== null && (BOXES.includes(word[1]!) || (isBox && MODELS.includes(word[1]!)));
    if (!known || !weights.every(({ name }) => name.startsWith(prefix + word[0]))) return prefix;
    prefix += word[0];
  }
}

/** torch.compile puts its word in the middle, too. */
function withoutCompiled(name: string): string {
  return name.replaceAll('_orig_mod.', '');
}
