/** Tables, bars and wrapped text in a terminal. */

import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { parseParams } from '../../../cli/arguments.ts';
import { bar, safe, table, wrapped } from '../../../cli/format.ts';
import { columnsOf } from '../../../cli/width.ts';

test('long text is wrapped at spaces, and nothing of it is lost', () => {
  const lines = wrapped('one two three fifteen-letters four', 9);
  expect(lines).toEqual(['one two', 'three', 'fifteen-letters', 'four']);
});

test('a table fits the width, leaves out empty columns, and shows control characters instead of obeying them', () => {
  const lines = table(
    [
      { name: safe('evil\u001b[2Jname'), empty: '' },
      { name: 'a very long name that does not fit at all', empty: '' },
    ],
    [
      { title: 'NAME', cell: ({ name }) => name, flexible: true },
      { title: 'EMPTY', cell: ({ empty }) => empty },
      { title: 'N', cell: () => '1' },
    ],
    24,
  );
  expect(lines.every((line) => line.length <= 24)).toBe(true);
  expect(lines[0]).not.toContain('EMPTY');
  expect(lines[1]).toContain('\ufffd[2J');
});

test('what is counted without the library has the width that the library gives', () => {
  const wrong: string[] = [];
  for (let code = 0x20; code < 0x3000; code++) {
    const text = `a${String.fromCodePoint(code)}b`;
    if (columnsOf(text) !== stringWidth(text)) wrong.push(code.toString(16));
  }
  expect(wrong).toEqual([]);
});

test('a table cuts and aligns what is wider or narrower than its characters', () => {
  const names = [
    '模型的名字很長很長',
    '👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦',
    'é'.repeat(30),
    '🇩🇪'.repeat(9),
    'plain',
  ];
  for (const flexible of [true, 'end'] as const) {
    const columns = [
      { title: 'NAME', cell: (name: string) => name, flexible },
      { title: 'N', cell: () => '|' },
    ];
    for (const line of table(names, columns, 14).slice(1)) expect([line, columnsOf(line)]).toEqual([line, 14]);
  }
  expect(table(names, [{ title: 'NAME', cell: (name) => name, flexible: true }], 9)[1]).toBe('模型的名…');
});

test('a table goes on in the next line where a person needs the whole text, and keeps a long word whole', () => {
  const state = 'waits, because it is paused: `trainstash queue RUN --continue`';
  const path = `/${'folder/'.repeat(6)}`;
  const rows = [
    { run: '#1', state },
    { run: '#2', state: `in ${path}` },
  ];
  const columns = [
    { title: 'RUN', cell: ({ run }: (typeof rows)[0]) => run },
    { title: 'STATE', cell: (one: (typeof rows)[0]) => one.state, flexible: 'wrap' as const },
  ];
  const lines = table(rows, columns, 32);
  expect(lines.slice(1, 4)).toEqual([
    '#1   waits, because it is',
    '     paused: `trainstash queue',
    '     RUN --continue`',
  ]);
  expect(lines.slice(4)).toEqual(['#2   in', `     ${path}`]);
});

test('params are JSON where they can be, else text', () => {
  expect(parseParams(['lr=1e-3', 'name=abc', 'on=true', 'list=[1,2]', 'eq=a=b'], 'param')).toEqual({
    lr: 0.001,
    name: 'abc',
    on: true,
    list: [1, 2],
    eq: 'a=b',
  });
  expect(() => parseParams(['lr'], 'param')).toThrow(/NAME=VALUE/);
});

test('a bar has a block for each full share', () => {
  expect(bar(0.5, 8)).toBe('████····');
});
