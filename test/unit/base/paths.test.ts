/** The folder for this user's state, and the message if it cannot be used. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { statePaths } from '../../../base/paths.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('XDG_STATE_HOME is where it goes, unless it is relative', () => {
  const home = temporaryFolder();
  const given = join(home, 'ä given');
  expect(statePaths({ HOME: home, XDG_STATE_HOME: given }).directory).toContain(join(given, 'trainstash'));
  expect(statSync(join(given, 'trainstash')).mode & 0o777).toBe(0o700);
  for (const relative of ['relative/path', '.', ''])
    expect(statePaths({ HOME: home, XDG_STATE_HOME: relative }).directory).toContain(join(home, '.local/state'));
  expect(existsSync('relative')).toBe(false);
});

test('TRAINSTASH_STATE names another, and a relative one means the same for every process', () => {
  const folder = temporaryFolder();
  expect(statePaths({ TRAINSTASH_STATE: join(folder, 'a/b') }).directory).toBe(join(folder, 'a/b'));
  const before = process.cwd;
  process.cwd = () => folder;
  try {
    expect(statePaths({ TRAINSTASH_STATE: 'own' }).directory).toBe(join(folder, 'own'));
  } finally {
    process.cwd = before;
  }
  expect(statePaths({ HOME: folder, TRAINSTASH_STATE: '' }).directory).toContain('.local/state');
});

test.each(['/proc/nope/x', '/sys/nope', '/dev/null/x', '/proc/self/fd/x/y'])(
  'a place that takes nothing, as %s, is named in one line with a way out, at once',
  (place) => {
    const start = performance.now();
    let said: unknown;
    try {
      statePaths({ HOME: '/', XDG_STATE_HOME: place });
    } catch (error) {
      said = error;
    }
    expect(said).toMatchObject({ code: 'stateUnusable' });
    expect((said as Error).message).toMatch(/^[^\n]*\/trainstash\/[^\n]*TRAINSTASH_STATE=[^\n]*$/);
    expect(performance.now() - start).toBeLessThan(2_000);
  },
);

test('a file in its place, or on the way to it, is told as what it is', () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'there'));
  expect(() => statePaths({ TRAINSTASH_STATE: join(folder, 'file') })).toThrow(/a file in its place/);
  expect(() => statePaths({ TRAINSTASH_STATE: join(folder, 'file/below') })).toThrow(
    /a part of its path is a file|a file in its place/,
  );
  expect(statePaths({ TRAINSTASH_STATE: join(folder, 'there') }).directory).toBe(join(folder, 'there'));
});

test('a home that is no path is not used', () => {
  for (const HOME of ['', 'relative', undefined]) {
    const directory = (() => {
      try {
        return statePaths({ HOME, XDG_STATE_HOME: join(temporaryFolder(), 'state') }).directory;
      } catch (error) {
        return (error as { code: string }).code;
      }
    })();
    expect(directory).toMatch(/^(\/.*|stateUnusable)$/);
  }
});
