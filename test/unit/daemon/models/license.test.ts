import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { statedLicense } from '../../../../daemon/models/license.ts';
import { temporaryFolder } from '../../../support/folder.ts';

function stated(pyproject: string, manifest?: string): string | null {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'pyproject.toml'), pyproject);
  if (manifest !== undefined) writeFileSync(join(folder, 'package.json'), manifest);
  return statedLicense(folder);
}

test.each([
  ['[project]\nname = "a"\nlicense = "MIT"\n'],
  ["[project] # what PyPI shows\nlicense = 'MIT' # as in LICENSE\n"],
  ['[ project ]\r\nlicense = "MIT"\r\n'],
  ['[project]\nlicense = { text = "MIT" }\n'],
  ['[project]\nlicense = {file = "LICENSE", text = "MIT"}\n'],
  ['[project]\nname = "a"\n\n[project.license]\ntext = "MIT"\n'],
])('a licence in %j is found', (text) => {
  expect(stated(text)).toBe('MIT');
});

test.each([
  ['[tool.poetry]\nlicense = "MIT"\n'],
  ['[project]\nname = "a"\n[tool.x]\nlicense = "MIT"\n'],
  ['[project]\nlicense = { file = "LICENSE" }\n'],
  ['[project]\n# license = "MIT"\n'],
  ['license = "MIT"\n'],
  [''],
])('none in %j', (text) => {
  expect(stated(text)).toBeNull();
});

test('package.json is asked when pyproject.toml states none', () => {
  expect(stated('[project]\nname = "a"\n', '{ "license": "Apache-2.0" }')).toBe('Apache-2.0');
  expect(stated('', '{ "license": { "type": "MIT" } }')).toBeNull();
  expect(stated('', 'no json')).toBeNull();
});
