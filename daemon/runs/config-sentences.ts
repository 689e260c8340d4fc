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
const REMOTE = 'the name of a remote: letters, digits and dashes, and not only digits';
const RANGE =
  'a list of values, or an object with one of "choice", "int", "uniform" and "logUniform", such as { "int": [1, 8] }';
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
  'keep.remote': 'an object, such as { "last": 3, "best": true }',
  'keep.remote.last': 'a whole number of at least 1',
  push: 'the name of a remote, or an object, such as { "to": "box", "which": "best,last", "every": "10m" }',
  'push.to': REMOTE,
  'push.every': 'a time, such as "10m", "90s" or "1h"',
  remotes: 'an object, such as { "box": { "url": "ssh://gpu-2/data/digits" } }',
  'remotes.*': 'an object with a "url": { "url": "ssh://gpu-2/data/digits" }',
  'remotes.*.url': 'the place of a remote, such as "ssh://gpu-2/data/digits"',
  'remotes.*.endpoint': 'the address of an S3 server, such as "https://minio.example.org"',
  'remotes.*.region': 'the name of a region, such as "eu-west-1"',
  'remotes.*.profile': 'the name of a profile in ~/.aws',
  files: `a list, each ${PATH}`,
  'files.*': PATH,
  alerts: 'an object of rules, such as { "noStep": "10m" }',
  'alerts.plateau': 'an object, such as { "metric": "val_loss", "steps": 2000 }',
  'alerts.plateau.metric': 'the name of a metric: "val_loss", or "max:val_acc"',
  'alerts.plateau.steps': 'a whole number of steps of at least 1',
  'alerts.noStep': 'a time, such as "10m" or "90s"',
  'alerts.diskFree': 'a size, such as "5GB"',
  'alerts.memoryUsed': 'a share, such as "95%"',
  notify: 'a command, a list of its words, or the address of a webhook, "https://…"',
  seed: 'a whole number of at least 0',
  gpu: 'a number of GPUs, a list of their indices, or "shared"',
  'gpu.*': 'the index of a GPU, as nvidia-smi counts',
  engine: 'the name of an engine in "engines", or "here"',
  engines:
    'an object with the settings of each engine, such as { "cluster": { "type": "slurm", "folder": "/scratch/me/digits" } }',
  'engines.*': 'an object, such as { "type": "slurm", "folder": "/scratch/me/digits" }',
  'engines.*.type': 'a kind of engine: "slurm", "ssh" or "ray"',
  'engines.*.host': 'a host as ssh knows it, such as "login" or "me@login"',
  'engines.*.address': 'the address of a Ray head, such as "http://127.0.0.1:8265"',
  'engines.*.folder': 'an absolute path, or one that begins with "~/"',
  'engines.*.options': 'a list of options in quotes, such as ["--partition=gpu"]',
  'engines.*.setup': 'a list of lines of shell in quotes, such as ["module load cuda"]',
  'engines.*.grace': 'a time, such as "60s" or "2m"',
  'engines.*.atOnce': 'a whole number of at least 1',
  'engines.*.nodes': 'a whole number of at least 1',
  'engines.*.lives': 'a whole number of at least 1',
  maxHours: 'a number of hours above 0',
  sweep: 'an object, such as { "params": { "lr": { "logUniform": [1e-5, 1e-1] } }, "samples": 30 }',
  'sweep.params': 'an object of params with their values, such as { "lr": [0.1, 0.01] }',
  'sweep.params.*': RANGE,
  'sweep.samples': 'a whole number of runs of at least 1',
  'sweep.metric': 'the name of a metric: "val_loss", or "max:val_acc"',
  'sweep.parallel': 'a whole number of runs from 1 to 64',
  'sweep.seed': 'a whole number of at least 0',
  'sweep.pruner': 'an object, such as { "kind": "asha", "minSteps": 100 }',
  'sweep.pruner.minSteps': 'a whole number of steps of at least 1',
  'sweep.pruner.maxSteps': 'a whole number of steps of at least 1',
  'sweep.pruner.reduction': 'a whole number from 2 to 10',
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
  if (inner.type === 'check' || inner.type === 'raw_check') return { text: `"${shown}" ${inner.message}`, path };
  if (path[0] === 'export' && path.length === 2 && inner.type === 'regex')
    return { text: `"${path[1]}" cannot name a format: up to 40 letters, digits, "_", "-" and "." can`, path };
  if (path[0] === 'remotes' && path.length === 2 && inner.type === 'regex')
    return {
      text: `"${path[1]}" cannot name a remote: up to 32 letters, digits and dashes can, and not only digits`,
      path,
    };
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

function wantedAt(given: readonly (string | number)[]): string | undefined {
  // Names of engines and remotes are free, and so are places in their lists.
  const path =
    given[0] === 'engines' || given[0] === 'remotes'
      ? [given[0], '*', ...given.slice(2, 3)].slice(0, given.length)
      : given;
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
