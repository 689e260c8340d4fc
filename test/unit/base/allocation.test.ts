/** Rule by which a process recognises the allocation of a scheduler. The Python package has the same cases in `test_allocation.py`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allocationOf } from '../../../base/allocation.ts';

interface Case {
  variables: Record<string, string>;
  terminal: boolean;
  cgroup: string;
  kind: string | null;
}

const PATH = join(import.meta.dirname, '../../../python/tests/allocations.json');
const cases: Case[] = JSON.parse(readFileSync(PATH, 'utf8'));

for (const { variables, terminal, cgroup, kind, ...facts } of cases) {
  const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  test(`${kind ?? 'no allocation'}: ${words.join(' ') || 'no variable'}${terminal ? ', with a terminal' : ''}, ${cgroup}`, () => {
    const found = allocationOf({ variables, hasTerminal: terminal, cgroup });
    if (kind === null) expect(found).toBeNull();
    else expect(found).toMatchObject({ kind, ...facts });
  });
}
