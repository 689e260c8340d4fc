import { expect, test } from 'vitest';
import { parseCommand } from '../../../cli/arguments.ts';
import { commands } from '../../../cli/commands.ts';
import { EXAMPLES } from '../../../cli/examples.ts';
import { optionHelp } from '../../../cli/option-help.ts';

test('each option of each command is explained', () => {
  const missing = Object.entries(commands).flatMap(([name, { options }]) =>
    Object.keys(options)
      .filter((option) => !optionHelp(name, option))
      .map((option) => `${name} --${option}`),
  );
  expect(missing).toEqual([]);
});

test('the usage of each command names all of its options', () => {
  const missing = Object.entries(commands).flatMap(([name, { options, usage }]) =>
    Object.entries(options)
      .filter(([option, { short }]) => !usage.includes(`--${option}`) && !(short && usage.includes(`-${short}`)))
      .map(([option]) => `${name} --${option}`),
  );
  expect(missing).toEqual([]);
});

test('each command has examples that it accepts, in 80 columns, with each option that takes a value', () => {
  for (const [name, command] of Object.entries(commands)) {
    const lines = EXAMPLES[name] ?? [];
    expect(lines.length, name).toBeGreaterThan(0);
    for (const line of lines) {
      expect(`  trainstash ${line}`.length, line).toBeLessThanOrEqual(80);
      const [first, ...rest] = line
        .replace(/ >>? .*/, '')
        .replaceAll(/"[^"]*"/g, 'text')
        .split(' ');
      expect(first).toBe(name);
      expect(() => parseCommand(name, command, rest), line).not.toThrow();
    }
    const missing = Object.entries(command.options)
      .filter(([option, { type, short }]) => {
        const forms = short ? [`--${option}`, `-${short}`] : [`--${option}`];
        return type === 'string' && !lines.some((line) => forms.some((form) => line.split(' ').includes(form)));
      })
      .map(([option]) => option);
    expect(missing, name).toEqual([]);
  }
  expect(Object.keys(EXAMPLES)).toEqual(Object.keys(commands));
});
