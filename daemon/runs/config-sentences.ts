/** Sentences for values of `trainstash.json` that are not what their key takes. Pure. */
import type * as v from 'valibot';
import { nearest } from '../../protocol/nearest.ts';

export interface ValueSentence {
  text: string;
  /** JSON that most likely was meant in place of the value. */
  replacement?: string;
  /** Keys and indices from the checked value to the wrong one. */
  path: (string | number)[];
}

const COMMAND = 'a command, such as "python train.py", or a list of its words';
const PATH = 'a path or glob inside the project, with "/", and not in .git';
const INTERVAL = 'an interval, such as "5m", "500 steps" or "1 epoch"';

/** Values that each key takes, in words; `*` stands for any name. */
const WANTED: Readonly<Record<string, string>> = {
  module: 'the path of a TensorFlow.js module, such as "train.ts"',
  run: COMMAND,
  resume: COMMAND,
  export: 'an object with a command for each format, such as { "gguf": "python convert.py ${checkpoint} ${out}" }',
  'export.*': COMMAND,
  checkpoints: `${PATH}, or a list of them`,
  'checkpoints.*': PATH,
  cwd: PATH,
  env: 'an object of variables, such as { "OMP_NUM_THREADS": "4" }',
  'env.*': 'text in quotes',
  params: 'an object of params, such as { "lr": 0.001 }',
  checkpoint: 'an object, such as { "every": "5m" }',
  'checkpoint.every': INTERVAL,
  keep: 'an object, such as { "last": 5, "best": "val_loss" }',
  'keep.last': 'a whole number of at least 1',
  'keep.best': 'the name of a metric: "val_loss", or "max:val_acc"',
  'keep.every': 'a whole number of steps of at least 1',
  files: `a list, each ${PATH}`,
  'files.*': PATH,
  seed: 'a whole number of at least 0',
  gpu: 'a number of GPUs, a list of their indices, or "shared"',
  'gpu.*': 'the index of a GPU, as nvidia-smi counts',
  maxHours: 'a number of hours above 0',
  maxSteps: 'a whole number of steps of at least 1',
};

const TRUE_OR_FALSE = 'true or false';

/** Writes the sentence for one issue. `before` is the key that the checked value stands under. */
export function sentenceOf(issue: v.BaseIssue<unknown>): ValueSentence {
  const inner = ofMatchingType(issue);
  const path = [...(issue.path ?? []), ...(inner === issue ? [] : (inner.path ?? []))].map(
    ({ key }) => key as string | number,
  );
  const shown = path.join('.');
  const given = JSON.stringify(inner.input) ?? 'nothing';
  if (inner.type === 'picklist') return choice(inner, path, shown, given);
  if (inner.type === 'check') return { text: `"${shown}" ${inner.message}`, path };
  if (path[0] === 'export' && path.length === 2 && inner.type === 'regex')
    return { text: `"${path[1]}" cannot name a format: up to 40 letters, digits, "_", "-" and "." can`, path };
  const wanted = wantedAt(path) ?? (inner.expected === 'boolean' ? TRUE_OR_FALSE : `another value (${inner.message})`);
  const replacement = repaired(inner.input, path, wanted);
  const hint = replacement === undefined ? '' : `; did you mean ${replacement}?`;
  return { text: `"${shown}" must be ${wanted}, not ${clipped(given)}${hint}`, path, replacement };
}

/** Takes the part of a union that has the type of what is there: a wrong item of a list, for example. */
function ofMatchingType(issue: v.BaseIssue<unknown>): v.BaseIssue<unknown> {
  return issue.issues?.find((one) => one.path !== undefined) ?? issue;
}

function choice(issue: v.BaseIssue<unknown>, path: (string | number)[], shown: string, given: string): ValueSentence {
  const known = [...(issue.expected ?? '').matchAll(/"([^"]+)"/g)].map(([, name]) => name!);
  const near = typeof issue.input === 'string' ? nearest(issue.input, known) : undefined;
  const list = `${known
    .slice(0, -1)
    .map((name) => `"${name}"`)
    .join(', ')} or "${known.at(-1)}"`;
  const hint = near ? `; did you mean "${near}"?` : '';
  return {
    text: `"${shown}" must be ${list}, not ${clipped(given)}${hint}`,
    path,
    replacement: near && JSON.stringify(near),
  };
}

function wantedAt(path: readonly (string | number)[]): string | undefined {
  return WANTED[path.join('.')] ?? (path.length > 1 ? WANTED[`${path.slice(0, -1).join('.')}.*`] : undefined);
}

/** Mends what is nearly right: `"5 min"`, a number in quotes, `"true"`, a number where text belongs. */
function repaired(input: unknown, path: readonly (string | number)[], wanted: string): string | undefined {
  if (wanted === INTERVAL) return interval(input);
  if (wanted === TRUE_OR_FALSE) return input === 'true' || input === 'false' ? input : undefined;
  if (/number/.test(wanted) && typeof input === 'string') {
    const number = Number(input);
    const isWhole = Number.isInteger(number) && number >= 1;
    return input.trim() !== '' && (isWhole || (path.at(-1) === 'maxHours' && number > 0)) ? String(number) : undefined;
  }
  if (wanted === WANTED['env.*'] && (typeof input === 'number' || typeof input === 'boolean'))
    return JSON.stringify(String(input));
  if (path.at(-1) === 'files' && typeof input === 'string') return JSON.stringify([input]);
  return undefined;
}

const UNITS: Readonly<Record<string, string>> = {
  s: 's',
  sec: 's',
  secs: 's',
  second: 's',
  seconds: 's',
  m: 'm',
  min: 'm',
  mins: 'm',
  minute: 'm',
  minutes: 'm',
  h: 'h',
  hr: 'h',
  hrs: 'h',
  hour: 'h',
  hours: 'h',
  step: ' steps',
  steps: ' steps',
  iterations: ' steps',
  epoch: ' epoch',
  epochs: ' epochs',
};

function interval(input: unknown): string | undefined {
  const found = typeof input === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\.?\s*$/i.exec(input) : null;
  if (!found) return undefined;
  const [, amount, unit] = found as unknown as [string, string, string];
  const known =
    UNITS[unit.toLowerCase()] ?? UNITS[nearest(unit, ['seconds', 'minutes', 'hours', 'steps', 'epochs']) ?? ''];
  return known && JSON.stringify(`${amount}${known}`);
}

function clipped(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
