/** The rule about variables of a loop, by the editor's parser: the same table as for the package's (`python/tests/loop_variables`). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  Names,
  type StartsAgain,
  scopesOf,
  variablesThatStartAgain,
} from '../../../../daemon/language/python-scripts/loop-variables.ts';
import { parsePython } from '../../../../daemon/language/python-scripts/parse.ts';

const FOLDER = join(import.meta.dirname, '../../../../python/tests/loop_variables');
const TABLE: Record<string, { inside: string[]; across: string[] }> = JSON.parse(
  readFileSync(join(FOLDER, 'cases.json'), 'utf8'),
);

test.each(Object.keys(TABLE))('%s', (name) => {
  const text = readFileSync(join(FOLDER, `${name}.py`), 'utf8');
  const { module, errors } = parsePython(text);
  expect(errors).toEqual([]);
  const { inside, across } = variablesThatStartAgain(scopesOf(module, new Names(module), text));
  expect({ inside: inside.map(shown), across: across.map(shown) }).toEqual(TABLE[name]);
});

function shown({ name, line, unless }: StartsAgain): string {
  return `${name}:${line}${unless.length > 0 ? ` unless ${unless.join(', ')}` : ''}`;
}
