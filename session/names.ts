/** Reads facts from a checkpoint file's name: its kind, and when it was saved. Pure. */

import { ARRAY_ENDINGS, endingIn, STATE_ENDINGS } from '../protocol/checkpoint-endings.ts';
import { isPointer } from './pointers.ts';

export interface NameFacts {
  step: number | null;
  epoch: number | null;
  /** The number that ends the name, if it is called neither step nor epoch: `model_5.pt`. */
  number: number | null;
  metrics: Record<string, number>;
  /** `best`, if the script itself calls it so. */
  reasons: string[];
}

const STATE = endingIn(STATE_ENDINGS);
/** Formats that also hold data; taken only if the name suggests a checkpoint. */
const GENERAL = endingIn([...ARRAY_ENDINGS, 'bin', 'msgpack', 'index', String.raw`data-\d{5}-of-\d{5}`]);
const SPEAKING = /(checkpoint|ckpt|model|weights|params|epoch|step|best|last|latest|optimizer|state)/i;
const TEMPORARY = /(^\.|\.tmp|\.part|\.incomplete|~$|^tmp)/i;

export function looksLikeCheckpoint(name: string): boolean {
  if (isPointer(name) || name === 'training_metadata.json') return true;
  if (TEMPORARY.test(name)) return false;
  return STATE.test(name) || (GENERAL.test(name) && SPEAKING.test(name));
}

/**
 * Returns true for a folder that is one checkpoint: `checkpoint-500` of Hugging Face, `global_step1000` of DeepSpeed,
 * `epoch_3`.
 */
export function isCheckpointFolder(name: string): boolean {
  return /^(checkpoint|ckpt|global_?step|step|epoch|iter|iteration)[-_=]?\d+$/i.test(name);
}

/** Files that belong to a checkpoint but are never one alone: indexes, and parts with generic names. */
const PARTNER =
  /^(latest|\.metadata|random_states_\d+\.pkl|(sampler|scheduler|dl_state_dict)(_\d+)?\.bin|custom_checkpoint_\d+\.pkl)$/;

export function isPartner(name: string): boolean {
  return PARTNER.test(name);
}

/** Returns true for a file that makes its folder a checkpoint of any name: Accelerate's random states, torch's shards. */
export function marksFolder(name: string): boolean {
  return /^random_states_0\.pkl$|\.distcp$/.test(name);
}

const STEP =
  /(?:^|[^a-z])(?:global_?step|step|iteration|iter|it|checkpoint|ckpt|steps)[-_=. ]?(\d+)(?![\d.]*\d*[a-z]{3})/i;
const EPOCH = /(?:^|[^a-z])(?:epoch|ep|e)[-_=. ]?(\d+)/i;
const COUNTER = /(?:^|[-_. ])(\d+)(?:\.(?:weights|model|state))?$/i;
const METRIC = /(?:^|[^a-z0-9])([a-z][a-z]*(?:_[a-z]+)*?)[-_=](\d+\.\d+(?:e-?\d+)?|\d+e-\d+)(?=$|[^\d])/gi;

/**
 * Reads names such as `ckpt_epoch_0050_loss_0.012345.pth`, `epoch=10-step=1000.ckpt`, `model_epoch_5.pdparams`,
 * `checkpoint-500/…`.
 */
export function factsOfName(path: string): NameFacts {
  const parts = path.split('/');
  const facts: NameFacts = { step: null, epoch: null, number: null, metrics: {}, reasons: [] };
  // The file's own name comes first, then up to two of its folders, the nearest first.
  for (const part of parts.slice(-3).reverse()) {
    const name = stemOf(part);
    facts.epoch ??= numberAfter(EPOCH, name);
    // In `ckpt_epoch_5` the number belongs to the epoch, not to the word before.
    facts.step ??= numberAfter(STEP, name);
    for (const [, metric, value] of name.matchAll(METRIC)) {
      const key = metric!.toLowerCase().replace(/^(?:ckpt|checkpoint|model|epoch|step|best|last)_/, '');
      if (/^(epoch|step|ep|iter|e|it|v|version|ckpt|checkpoint|model)$/.test(key)) continue;
      facts.metrics[key] ??= Number(value);
    }
  }
  const own = parts.at(-1)!;
  if (facts.step === null && facts.epoch === null) facts.number = numberAfter(COUNTER, stemOf(own));
  if (/(^|[^a-z])best([^a-z]|$)/i.test(own)) facts.reasons.push('best');
  return facts;
}

function stemOf(name: string): string {
  return name.replace(STATE, '').replace(GENERAL, '');
}

function numberAfter(pattern: RegExp, name: string): number | null {
  const found = pattern.exec(name)?.[1];
  const number = found === undefined ? Number.NaN : Number(found);
  return Number.isSafeInteger(number) ? number : null;
}
