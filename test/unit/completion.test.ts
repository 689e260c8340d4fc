/** Completed command lines, without a shell or a daemon. */
import { expect, test } from 'vitest';
import { commands } from '../../cli/commands.ts';
import { candidatesFor, type Names } from '../../cli/completion/candidates.ts';

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
  expect(await complete('inspect ')).toEqual([]);
});

test('each command and each of its options is offered', async () => {
  expect(await complete('')).toEqual([...Object.keys(commands), 'help', '--version']);
  for (const [name, { options }] of Object.entries(commands))
    expect(await complete(`${name} --`)).toEqual([...Object.keys(options), 'json', 'help'].map((one) => `--${one}`));
});
