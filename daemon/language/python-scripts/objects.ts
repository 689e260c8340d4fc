/** Objects with a state, by the calls that make them. */
import { keyOf, lastOf } from './flow.ts';
import type { Call, Node } from './nodes.ts';

export type ObjectKind = 'schedule' | 'optimizer' | 'scaler' | 'average' | 'generator';

const OPTIMIZERS = new Set(
  'ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Lion Muon NAdam RAdam RMSprop Rprop SGD SparseAdam'.split(
    ' ',
  ),
);
const SCHEDULES =
  /LR$|^(CosineAnnealingWarmRestarts|ReduceLROnPlateau|ChainedScheduler|get_scheduler)$|^get_\w+_schedule(_with_\w+)?$/;
const AVERAGES = /^(AveragedModel|\w*EMA\w*|ExponentialMovingAverage)$/;
const GENERATORS =
  /^(torch\.Generator|(np|numpy)\.random\.(default_rng|RandomState|Generator)|random\.Random|default_rng)$/;

/** Tells what a call makes; null: nothing of which it is known that it has a state. */
export function objectKind(call: Call): ObjectKind | null {
  const key = keyOf(call.func);
  if (key === null) return null;
  const name = lastOf(key);
  if (name.endsWith('GradScaler')) return isOff(call) ? null : 'scaler';
  if (OPTIMIZERS.has(name) || /^(torch\.)?optim\.[A-Z]\w*$/.test(key)) return 'optimizer';
  if (SCHEDULES.test(name)) return 'schedule';
  if (AVERAGES.test(name)) return 'average';
  return GENERATORS.test(key) ? 'generator' : null;
}

/** Tells what a value is made as, in one of its cases at least. */
export function kindOfValue(value: Node): ObjectKind | null {
  if (value.kind === 'IfExp') return kindOfValue(value.body) ?? kindOfValue(value.orelse);
  return value.kind === 'Call' ? objectKind(value) : null;
}

function isOff({ keywords }: Call): boolean {
  return keywords.some(({ arg, value }) => arg === 'enabled' && value.kind === 'Constant' && value.text === 'False');
}
