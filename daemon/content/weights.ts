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
  /** What all names began with, and do not any more. */
  stripped: string;
}

/** `isBox`: the file holds more than a model (an optimizer, an epoch), so that the model has a key of its own. */
export function chooseWeights<T extends Named>(
  tensors: readonly T[],
  isBox: boolean,
  strip: string | null,
): ChosenWeights<T> {
  const weights = tensors.filter(({ name }) => partOf(name) === 'weights');
  const stripped = strip ?? commonPrefix(weights, isBox || weights.length < tensors.length);
  return {
    tensors: weights.map((tensor) => ({
      tensor,
      name: withoutCompiled(tensor.name.startsWith(stripped) ? tensor.name.slice(stripped.length) : tensor.name),
    })),
    stripped,
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
