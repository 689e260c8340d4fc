/** The Python package as pip gets it: sdist and wheel by hatchling, and an editable install in the repository. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { packaging } from '../../scripts/python-environments.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE } from '../support/python.ts';

const FOLDER = resolve(PACKAGE, '..');
const { version: VERSION } = JSON.parse(readFileSync(resolve(FOLDER, '../package.json'), 'utf8')) as {
  version: string;
};
const { python } = packaging(true);
const TIMEOUT_MS = 120_000;

test.skipIf(!python)(
  'a wheel has the whole package and is the same each time, also when it is built from the sdist',
  () => {
    const folder = temporaryFolder();
    // `build` makes the sdist first, and the wheel of what is in it.
    const [fromSdist, fromRepository] = [[], ['--wheel']].map((words, i) => {
      const out = join(folder, String(i));
      execFileSync(python!, ['-m', 'build', '--no-isolation', ...words, '--outdir', out, FOLDER], { stdio: 'pipe' });
      return join(out, `trainstash-${VERSION}-py3-none-any.whl`);
    });
    const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(digest(fromSdist!)).toBe(digest(fromRepository!));
    const names = execFileSync(python!, ['-m', 'zipfile', '-l', fromSdist!], { encoding: 'utf8' });
    const modules = readdirSync(join(PACKAGE, 'trainstash')).filter((name) => /\.(py|typed)$/.test(name));
    const rules = readdirSync(resolve(FOLDER, '../protocol/rules'))
      .filter((name) => name.endsWith('.json'))
      .map((name) => `rules/${name}`);
    expect([...modules, ...rules].filter((name) => !names.includes(`trainstash/${name} `))).toEqual([]);
    expect(names).not.toContain('tests/');
  },
  TIMEOUT_MS,
);

test.skipIf(!python)(
  'an editable install finds the package and the rules in the repository',
  () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'elsewhere'));
    execFileSync(python!, ['-m', 'venv', join(folder, 'venv')]);
    const installed = join(folder, 'venv', process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
    execFileSync(installed, ['-m', 'pip', 'install', '--quiet', '--no-input', '-e', FOLDER], { stdio: 'pipe', env });
    const code =
      'import trainstash; from trainstash.shared import PACKAGES; print(trainstash.__file__, len(PACKAGES) > 0)';
    const said = execFileSync(installed, ['-c', code], { cwd: join(folder, 'elsewhere'), encoding: 'utf8', env });
    expect(said.trim()).toBe(`${join(PACKAGE, 'trainstash/__init__.py')} True`);
  },
  TIMEOUT_MS,
);
