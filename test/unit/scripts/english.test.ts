import { expect, test } from 'vitest';
import { badOpenings } from '../../../scripts/english.ts';

const OPEN = '/*'.concat('*');

test('a doc comment that leaves its subject out is found, on one line and on several', () => {
  const text = `const a = 1;\n${OPEN} What is left. */\nconst b = 2;\n\n${OPEN}\n * Of a run.\n */\n`;
  expect(badOpenings(text, 'a.ts')).toEqual([2, 5]);
});

test('comments that start with a verb or a noun, and other words that begin alike, pass', () => {
  expect(badOpenings(`${OPEN} Lists runs. */\n${OPEN} Offset. */\n${OPEN} Format of a file. */`, 'a.ts')).toEqual([]);
});

test('docstrings of Python are checked, its other strings are not', () => {
  const text =
    'def f():\n    """Whether it is."""\n    """\n    As it was.\n    """\n    s = """What"""\n    """Return it."""\n';
  expect(badOpenings(text, 'a.py')).toEqual([2, 3]);
});
