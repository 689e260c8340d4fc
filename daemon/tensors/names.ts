/** Interprets the names that writers give to tensors. Pure. */
import type { TensorPart } from '../../protocol/diff.ts';

/** Prefixes that wrappers add to a model's own names. `_orig_mod` is torch.compile's, and may occur anywhere. */
const WRAPPERS = ['module', '_orig_mod', 'model', 'state_dict', 'model_state_dict', 'net', 'network'];

const OPTIMIZER =
  /(^|[./_])(optim(izers?)?|optimizers?(_state(_dict|s)?)?|optimizer_states|lr_schedulers?|schedulers?|grad_scaler|scaler|amp)([./_]|$)|_(moment[12]|beta[12]_pow_acc|velocity)_\d+$|(^|[./])(exp_avg(_sq)?|max_exp_avg_sq|momentum_buffer)$/i;
const OTHER =
  /^trainstash[./]|(^|[./_])(rng|rng_states?|random|cuda_rng_state|torch_rng|callbacks?|loops|samplers?|ema_updates)([./_]|$)/i;

export function partOf(name: string): TensorPart {
  if (OPTIMIZER.test(name)) return 'optimizer';
  return OTHER.test(name) ? 'other' : 'weights';
}

/** Removes the prefixes of wrappers, and `_orig_mod` anywhere. */
export function bareName(name: string): string {
  const words = name.split('.').filter((word) => word !== '_orig_mod');
  let first = 0;
  while (first < words.length - 1 && WRAPPERS.includes(words[first]!)) first++;
  return words.slice(first).join('.');
}

export interface NameMapping {
  /** Prefix of a name in the first checkpoint; `to` is the prefix in the second. */
  from: string;
  to: string;
}

export interface Pairs {
  /** Pairs of indices into both sides. */
  pairs: [number, number][];
  /** Indices without a partner. */
  only: [number[], number[]];
  notes: string[];
}

/**
 * Pairs names: exact ones first, then by the mapping, then without the prefixes of wrappers where that is unambiguous.
 */
export function pairNames(first: readonly string[], second: readonly string[], mapping: readonly NameMapping[]): Pairs {
  const open = new Map(second.map((name, i) => [name, i]));
  const pairs: [number, number][] = [];
  const notes: string[] = [];
  const left = first.map((name, i) => ({ name, i }));
  const match = (find: (name: string) => string | null): number => {
    let found = 0;
    for (const [at, { name, i }] of [...left.entries()].reverse()) {
      const partner = find(name);
      const index = partner === null ? undefined : open.get(partner);
      if (partner === null || index === undefined) continue;
      pairs.push([i, index]);
      open.delete(partner);
      left.splice(at, 1);
      found++;
    }
    return found;
  };
  for (const { from, to } of mapping) {
    const found = match((name) => (name.startsWith(from) ? to + name.slice(from.length) : null));
    notes.push(
      found > 0
        ? `${found} names were mapped as requested: ${from}… to ${to}…`
        : `No name begins with "${from}" and has a partner with "${to}".`,
    );
  }
  match((name) => name);
  const bare = unique([...open.keys()].map((name) => [bareName(name), name]));
  const own = unique(left.map(({ name }) => [bareName(name), name]));
  const prefixes = new Set<string>();
  const found = match((name) => {
    const partner = own.get(bareName(name)) === name ? (bare.get(bareName(name)) ?? null) : null;
    if (partner !== null) for (const side of [name, partner]) prefixes.add(side.slice(0, -bareName(side).length));
    return partner;
  });
  if (found > 0) {
    const shown = [...prefixes].filter((prefix) => prefix !== '').join(', ');
    notes.push(`${found} names were matched without ${shown || '_orig_mod.'}`);
  }
  pairs.sort((a, b) => a[0] - b[0]);
  return { pairs, only: [left.map(({ i }) => i), [...open.values()]], notes };
}

/** Makes a map without the keys that occur twice. */
function unique(entries: readonly (readonly [string, string])[]): Map<string, string> {
  const found = new Map<string, string>();
  const twice = new Set<string>();
  for (const [key, value] of entries) {
    if (found.has(key)) twice.add(key);
    found.set(key, value);
  }
  for (const key of twice) found.delete(key);
  return found;
}
