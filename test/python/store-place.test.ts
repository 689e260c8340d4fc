/** One rule in two languages: daemon and package find the same place for the store of a project on a network. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { defaultDirectory } from '../../base/paths.ts';
import { chooseStoresFolder, storeName, storesFolder } from '../../base/store-place.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE, PYTHON } from '../support/python.ts';

const SCRIPT = `
import json, sys
from trainstash import store_place
print(json.dumps([store_place.stores_folder(), *map(store_place._name_of, sys.argv[1:])]))
`;

test.skipIf(!PYTHON)('the folder of stores and the names in it are the same, whoever asks', () => {
  const folder = temporaryFolder();
  const projects = ['digits', 'été', '🚀 rocket', 'a"b\nc'].map((name) => join(folder, name, '.git', 'trainstash'));
  for (const path of projects) mkdirSync(path, { recursive: true });
  const home = join(folder, 'home');
  mkdirSync(home);
  const base: Record<string, string> = { HOME: home, PATH: process.env.PATH!, PYTHONPATH: PACKAGE };
  const usual = defaultDirectory(base);
  const both = (env: Record<string, string>) => {
    const answer = execFileSync(PYTHON!, ['-c', SCRIPT, ...projects], { env, cwd: folder, encoding: 'utf8' });
    const [found, ...names] = JSON.parse(answer) as string[];
    expect(names).toEqual(projects.map(storeName));
    return [found, storesFolder(env)];
  };
  const own = join(folder, 'state');
  // The usual folder that a client names to its daemon is nobody's own.
  for (const env of [base, { ...base, TRAINSTASH_STATE: usual }, { ...base, TRAINSTASH_STATE: own }]) {
    const [package_, daemon] = both(env);
    expect([env.TRAINSTASH_STATE, package_]).toEqual([env.TRAINSTASH_STATE, daemon]);
  }
  const scratch = join(folder, 'scratch');
  expect(chooseStoresFolder(scratch, base)).toBeNull();
  expect(both(base)).toEqual([scratch, scratch]);
  expect(both({ ...base, TRAINSTASH_STATE: usual })).toEqual([scratch, scratch]);
  expect(both({ ...base, TRAINSTASH_STATE: own })).toEqual([join(own, 'stores'), join(own, 'stores')]);
});
