import { expect, test } from 'vitest';
import { type CommandShape, parseCommand, UsageError } from '../../../cli/arguments.ts';

const SHAPE: CommandShape = {
  usage: 'RUN [--limit N]',
  options: {
    limit: { type: 'string' },
    all: { type: 'boolean' },
    param: { type: 'string', short: 'p', multiple: true },
  },
  words: [0, 1],
  acceptsCommand: true,
};

const firstLine = (argv: string[]): string => {
  try {
    parseCommand('ls', SHAPE, argv);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain('\nUsage: trainstash ls RUN [--limit N]');
    return (error as Error).message.split('\n')[0]!;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
};

test.each([
  [['--alll'], 'There is no option --alll. Did you mean --all?'],
  [['--nothing-alike'], 'There is no option --nothing-alike.'],
  [['--constructor'], 'There is no option --constructor.'],
  [['-x'], 'There is no option -x.'],
  [['--limit'], '--limit needs a value.'],
  [['-p'], '-p needs a value.'],
  [
    ['--limit', '--all'],
    '--limit needs a value, and "--all" looks like an option. Write --limit=--all if it is the value.',
  ],
  [['--all=1'], '--all takes no value.'],
])('%j is a mistake in the words of the option', (argv, sentence) => {
  expect(firstLine(argv)).toBe(sentence);
});

test.each([
  ['0', '--limit takes a whole number from 1 to 64, not "0".'],
  ['65', '--limit takes a whole number from 1 to 64, not "65".'],
  ['1e2', '--limit takes a whole number from 1 to 64, not "1e2".'],
])('a number that is out of its range is a mistake of the option: %s', (text, sentence) => {
  const parsed = parseCommand('ls', SHAPE, ['--limit', text]);
  expect(() => parsed.count('limit', 1, 64)).toThrow(sentence);
});

test('values may stand beside an option, behind a sign, and be a dash or empty', () => {
  const parsed = parseCommand('ls', SHAPE, ['-pa=1', '-p', 'b=2', '--param=-3', '--limit=', '7']);
  expect(parsed.texts('param')).toEqual(['a=1', 'b=2', '-3']);
  expect(parsed.text('limit')).toBe('');
  expect(parsed.words).toEqual(['7']);
  expect(parseCommand('ls', SHAPE, ['--limit', '-']).text('limit')).toBe('-');
});

test('options of the command after -- are its own', () => {
  expect(parseCommand('ls', SHAPE, ['--all', '--', 'train', '--limit']).command).toEqual(['train', '--limit']);
});
