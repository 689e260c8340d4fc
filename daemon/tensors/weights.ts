/** Finds the tensors of a checkpoint that are its model's weights, and their names in the model. Pure. */
import { partOf } from './names.ts';

/** Containers in a file, and prefixes of wrappers: never a model's own names. */
const CONTAINERS = ['state_dict', 'model_state_dict', 'module', '_orig_mod'];
/**
 * Containers that models also use as names of their parts: they count only in a file that holds other things as well.
 */
const MODEL_CONTAINERS = ['model', 'net', 'network'];

export interface Named {
  name: string;
}

export interface ChosenWeights<T extends Named> {
  tensors: { tensor: T; name: string }[];
  /** Prefix that was removed from the names. */
  stripped: string;
}

/**
 * Selects the weights. `isBox`: the file holds more than a model (an optimizer, an epoch), so that the model has its
 * own key.
 */
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
  // A file may hold a model and its compiled version: without the prefix their names would collide.
  const unambiguous = new Set(names).size === names.length ? names : weights.map(({ name }) => name);
  return {
    tensors: weights.map((tensor, i) => ({ tensor, name: unambiguous[i]! })),
    stripped: unambiguous === names ? stripped : '',
  };
}

function commonPrefix(weights: readonly Named[], isBox: boolean): string {
  let prefix = '';
  for (;;) {
    const word = /^([^./]+)[./]/.exec(weights[0]?.name.slice(prefix.length) ?? '');
    const isContainer =
      word !== null && (CONTAINERS.includes(word[1]!) || (isBox && MODEL_CONTAINERS.includes(word[1]!)));
    if (!isContainer || !weights.every(({ name }) => name.startsWith(prefix + word[0]))) return prefix;
    prefix += word[0];
  }
}

/** Removes torch.compile's prefix, which also occurs in the middle. */
function withoutCompiled(name: string): string {
  return name.replaceAll('_orig_mod.', '');
}
