/** The copy of a session in an engine's folder: cheap while nothing is new there. */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Mirror } from '../../../../daemon/engines/mirror.ts';
import { LocalReach } from '../../../../daemon/engines/reaches/local.ts';
import { SESSION_FILES } from '../../../../protocol/session.ts';
import { SessionDirectory } from '../../../../session/directory.ts';
import { temporaryFolder } from '../../../support/folder.ts';

function mirrored() {
  const [from, to] = [join(temporaryFolder(), 'there'), join(temporaryFolder(), 'here')];
  for (const folder of [from, to]) mkdirSync(folder);
  writeFileSync(join(from, SESSION_FILES.launch), '{}');
  writeFileSync(join(from, SESSION_FILES.output), 'step 1\n');
  const reach = new LocalReach('cluster');
  const listed = vi.spyOn(reach, 'list');
  const mirror = new Mirror(reach, from, new SessionDirectory(to), async () => false);
  return { from, to, mirror, listed };
}

test('a session without news is not listed again', async () => {
  const { mirror, listed } = mirrored();
  await mirror.copy();
  const before = listed.mock.calls.length;
  await mirror.copy();
  expect(listed.mock.calls.length).toBe(before);
});

test.each(['output', 'events', 'runnerEvents'] as const)('news in its %s shows at once', async (name) => {
  const { from, to, mirror } = mirrored();
  await mirror.copy();
  await mirror.copy();
  appendFileSync(join(from, SESSION_FILES[name]), 'news\n');
  await mirror.copy();
  expect(readFileSync(join(to, SESSION_FILES[name]), 'utf8')).toContain('news\n');
});

test('a session that is gone is noticed at once', async () => {
  const { from, mirror } = mirrored();
  await mirror.copy();
  rmSync(from, { recursive: true });
  await expect(mirror.copy()).rejects.toThrow('is not seen');
});
