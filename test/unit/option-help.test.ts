import { expect, test } from 'vitest';
import { commands } from '../../cli/commands.ts';
import { optionHelp } from '../../cli/option-help.ts';

test('each option of each command is explained', () => {
  const missing = Object.entries(commands).flatMap(([name, { options }]) =>
    Object.keys(options)
      .filter((option) => !optionHelp(name, option))
      .map((option) => `${name} --${option}`),
  );
  expect(missing).toEqual([]);
});
