/** Mistakes in trainstash.json, each with its place and sentence. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig, readConfig } from '../../../../daemon/runs/config.ts';
import { checkConfig } from '../../../../daemon/runs/config-checks.ts';
import { temporaryFolder } from '../../../support/folder.ts';

/** Lists the problems of a text as `marked text: sentence → replacement`. */
function problems(text: string): string[] {
  return checkConfig(text).problems.map(
    ({ offset, length, text: what, replacement }) =>
      `${text.slice(offset, offset + length)}: ${what}${replacement ? ` → ${replacement}` : ''}`,
  );
}

const inJob = (value: string) => `{"jobs": {"a": {"run": "python a.py", ${value}}}}`;

const CASES: [string, string, string[]][] = [
  [
    'a mistyped key of the file',
    '{"jbos": {}}',
    ['"jbos": the file has an unknown key "jbos", which is ignored; did you mean "jobs"? → "jobs"'],
  ],
  [
    'a mistyped key of a job',
    inJob('"parms": {}'),
    ['"parms": job "a" has an unknown key "parms", which is ignored; did you mean "params"? → "params"'],
  ],
  [
    'a mistyped nested key',
    inJob('"checkpoint": {"evry": "5m"}'),
    ['"evry": the job "a" has an unknown key "checkpoint.evry"; did you mean "every"? → "every"'],
  ],
  [
    'a mistyped module, without which the job is none',
    '{"jobs": {"a": {"modul": "a.ts"}}}',
    ['"modul": job "a" has an unknown key "modul"; did you mean "module"? → "module"'],
  ],
  [
    'an interval as one would say it',
    inJob('"checkpoint": {"every": "5 min"}'),
    [
      '"5 min": in the job "a", "checkpoint.every" must be an interval, such as "5m", "500 steps" or "1 epoch", not "5 min"; did you mean "5m"? → "5m"',
    ],
  ],
  [
    'an interval that says nothing',
    inJob('"checkpoint": {"every": "often"}'),
    [
      '"often": in the job "a", "checkpoint.every" must be an interval, such as "5m", "500 steps" or "1 epoch", not "often"',
    ],
  ],
  [
    'a number in quotes',
    inJob('"keep": {"last": "3"}'),
    ['"3": in the job "a", "keep.last" must be a whole number of at least 1, not "3"; did you mean 3? → 3'],
  ],
  ...['onNaN', 'onSpike', 'onFailure'].map((key): [string, string, string[]] => [
    `a change of a number in ${key} that cannot be computed`,
    inJob(`"${key}": {"do": "rollback", "then": {"data": "/mnt/2", "lr": "*x", "wd": "/0,5", "b": "-1e-3"}}`),
    [
      `"*x": in the job "a", "${key}.then.lr" must be a new value, or a change of a number such as "*0.5", "/2", "+1" or "-0.1", not "*x"`,
      `"/0,5": in the job "a", "${key}.then.wd" must be a new value, or a change of a number such as "*0.5", "/2", "+1" or "-0.1", not "/0,5"`,
    ],
  ]),
  [
    'a mistyped choice',
    inJob('"args": "flag"'),
    [
      '"flag": in the job "a", "args" must be "flags", "hydra", "env" or "none", not "flag"; did you mean "flags"? → "flags"',
    ],
  ],
  [
    'a word for true',
    inJob('"rehearse": "true"'),
    ['"true": in the job "a", "rehearse" must be true or false, not "true"; did you mean true? → true'],
  ],
  [
    'a variable that is no text',
    inJob('"env": {"N": 4}'),
    ['4: in the job "a", "env.N" must be text in quotes, not 4; did you mean "4"? → "4"'],
  ],
  [
    'a path outside',
    inJob('"checkpoints": ["/tmp/x"]'),
    ['"/tmp/x": in the job "a", "checkpoints.0" must be a path or glob inside the project, with "/", and not in .git'],
  ],
  ['a GPU twice', inJob('"gpu": [0, 0]'), ['[0, 0]: in the job "a", "gpu" names a GPU twice']],
  [
    'a mistyped reaction',
    '{"onBranchSwitch": "pase"}',
    ['"pase": "onBranchSwitch" must be "continue", "pause" or "ask", not "pase"; did you mean "pause"? → "pause"'],
  ],
  [
    'a key that is there twice',
    '{"jobs": {}, "jobs": {}}',
    ['"jobs": "jobs" appears twice, and only the last one counts'],
  ],
  [
    'run and module both',
    '{"jobs": {"a": {"run": "x", "module": "y.ts"}}}',
    [
      '"module": the job "a" needs either "run" (a command, such as "python train.py") or "module" (a TensorFlow.js module), and it has both: remove one of them',
    ],
  ],
  [
    'a quote that is not closed',
    `{"jobs": {"a": "python 'x"}}`,
    [`"python 'x": the job "a" has a command that is empty or has an unclosed quote`],
  ],
  ['an empty file', '', [': it is not valid JSON: it is empty']],
  ['a list', '[]', ['[]: it must be an object { "jobs": { … } }']],
];

test.each(CASES)('%s is one mistake, at its place', (_, text, expected) => {
  expect(problems(text)).toEqual(expected);
});

test('all mistakes of a file are found at once, in their order', () => {
  const text = '{"jbos": {}, "jobs": {"a": {"run": 3}, "b": {"args": 1, "seed": -1, "run": "x"}}, "files": 1}';
  expect(problems(text).map((line) => line.split(':')[0])).toEqual(['"jbos"', '3', '1', '-1', '1']);
});

test('a job that is right is known though another one is wrong', () => {
  expect([...checkConfig('{"jobs": {"a": "python a.py", "b": 3}}').jobs.keys()]).toEqual(['a']);
});

test('a byte-order mark, comments and a trailing comma are no mistakes', () => {
  expect(parseConfig('f', '\uFEFF{ // jobs\n "jobs": { "a": "python a.py", } }').jobs.get('a')?.run).toBe(
    'python a.py',
  );
});

test('text that is cut off anywhere gives problems inside of it, and never throws', () => {
  const text = inJob('"checkpoint": {"every": "5m"}, "gpu": [0, 1], "env": {"A": "b"}, "export": {"x": ["a", "b"]}');
  for (let end = 0; end < text.length; end++) {
    const found = checkConfig(text.slice(0, end)).problems;
    expect(found.length).toBeGreaterThan(0);
    for (const { offset, length } of found) expect(offset + length).toBeLessThanOrEqual(Math.max(end, 1));
  }
});

test('trainstash.jsonc is read where there is no trainstash.json, and one that is not read is named', () => {
  const root = temporaryFolder();
  writeFileSync(join(root, 'trainstash.jsonc'), '\uFEFF{ "jobs": { "a": "python a.py" } } // one');
  expect([...readConfig(root).jobs.keys()]).toEqual(['a']);
  writeFileSync(join(root, 'trainstash.json'), '{ "jobs": { "b": "python b.py" } }');
  const { jobs, warnings } = readConfig(root);
  expect([...jobs.keys()]).toEqual(['b']);
  expect(warnings).toEqual([`${join(root, 'trainstash.jsonc')} is not read, since trainstash.json is there`]);
});
