/** Completed command lines, without a shell or a daemon. */
import { expect, test } from 'vitest';
import { commands } from '../../../cli/commands.ts';
import { candidatesFor, type Names } from '../../../cli/completion/candidates.ts';

const named = (...words: string[]) => words.map((word) => ({ word, about: '' }));
const names: Names = {
  jobs: async () => named('train', 'a b', '$(touch owned)', 'tüte', '`id`'),
  runs: async () => named('last', '12', '11'),
  checkpoints: async (run) => named(`${run}@best`, `${run}@1200`),
  branches: async () => named('main', 'idea/x', "it's"),
};
const complete = async (line: string) => (await candidatesFor(line.split(' '), names)).map(({ word }) => word);

test('names that a shell would not read as a word are not offered', async () => {
  expect(await complete('run ')).toEqual(['train', 'tüte']);
  expect(await complete('switch ')).toEqual(['main', 'idea/x']);
});

test('runs, checkpoints and values of options are offered where a command takes them', async () => {
  expect(await complete('show la')).toEqual(['last']);
  expect(await complete('export --force 12@')).toEqual(['12@best', '12@1200']);
  expect(await complete('diff 11 12@b')).toEqual(['12@best']);
  expect(await complete('diff --by e')).toEqual(['epoch']);
  expect(await complete('run train --after 1')).toEqual(['12', '11']);
  expect(await complete('run -- python ')).toEqual([]);
  expect(await complete('rename 12 ')).toEqual([]);
  expect(await complete('export --format csv la')).toEqual(['last']);
  expect(await complete('run -p lr=1 tr')).toEqual(['train']);
  expect(await complete('resume 12 ')).toEqual([]);
  expect(await complete('rm 12 1')).toEqual(['12', '11']);
  expect(await complete('inspect ')).toEqual([]);
});

test('words and values that a usage lists are offered in their place', async () => {
  expect(await complete('daemon ')).toEqual(['status', 'stop', 'logs']);
  expect(await complete('hook ')).toEqual(['install', 'remove']);
  expect(await complete('stash ')).toEqual(['list', 'show', 'restore', 'drop', 'undo']);
  expect(await complete('stash restore ')).toEqual([]);
  expect(await complete('completion ')).toEqual(['bash', 'zsh', 'fish']);
  expect(await complete('backend ')).toEqual(['install', 'remove']);
  expect(await complete('backend install ')).toEqual(['webgpu', 'tensorflow']);
  expect(await complete('sync --follow ')).toEqual(['yes', 'no']);
  expect(await complete('sync --files m')).toEqual(['move']);
  expect(await complete('sync ')).toEqual([]);
  expect(await complete('run train --backend tf')).toEqual(['tfjs-node-gpu', 'tfjs-node']);
  expect(await complete('run train --at ')).toEqual([]);
  expect(await complete('gc ')).toEqual(['last', '12', '11']);
});

test('each command and each of its options is offered', async () => {
  expect(await complete('')).toEqual([...Object.keys(commands), 'help', '--version']);
  for (const [name, { options }] of Object.entries(commands))
    expect(await complete(`${name} --`)).toEqual([...Object.keys(options), 'json', 'help'].map((one) => `--${one}`));
});
