/** The list of components in a release names exactly what is in it. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { partsList } from '../../../scripts/parts-list.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const bundled = () => JSON.parse(readFileSync(join(ROOT, '.cache/packages.json'), 'utf8')) as string[];

test('every package that is bundled or copied is a part, with its version and licence', () => {
  const { components } = partsList(ROOT, '1.2.3', bundled());
  const names = new Set(bundled().map(nameOf));
  expect(new Set(components.map(({ name }) => name))).toEqual(names);
  for (const part of components) {
    expect(part.purl).toMatch(/^pkg:npm\/(%40[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+/);
    expect(part.licenses).toHaveLength(1);
  }
  expect(names).toContain('better-sqlite3');
  expect(names).not.toContain('vitest');
});

test('the same packages in another order give the same list', () => {
  expect(partsList(ROOT, '1.2.3', bundled().reverse())).toEqual(partsList(ROOT, '1.2.3', bundled()));
});

function nameOf(folder: string): string {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')).name;
}
