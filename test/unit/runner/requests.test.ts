/** Requests of the daemon to a runner are heard at once, and also where no event of the file system arrives. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { watchRequests } from '../../../runner/requests.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { temporaryFolder, until } from '../../support/folder.ts';

function watched() {
  const path = join(temporaryFolder(), 'session');
  mkdirSync(path);
  const calls = { control: 0, input: 0 };
  const begin = () => {
    const watch = watchRequests(new SessionDirectory(path), {
      control: () => calls.control++,
      input: () => calls.input++,
    });
    onTestFinished(() => watch.close());
    return watch;
  };
  return { path, calls, begin };
}

test('what was asked before it watched is looked at once, and the folder for keystrokes is made', () => {
  const { path, calls, begin } = watched();
  begin();
  expect(calls).toEqual({ control: 1, input: 1 });
  expect(existsSync(join(path, 'input'))).toBe(true);
});

test('a request and a keystroke are heard, and other files of the session are no requests', async () => {
  const { path, calls, begin } = watched();
  const { close } = begin();
  const before = { ...calls };
  writeFileSync(join(path, 'input', '1'), 'x');
  await until('the keystroke is heard', () => calls.input > before.input);
  writeFileSync(join(path, 'control'), '{}');
  await until('the request is heard', () => calls.control > before.control);
  close();
  const after = { ...calls };
  writeFileSync(join(path, 'control'), '{"seq":2}');
  await new Promise((done) => setImmediate(done));
  expect(calls).toEqual(after);
});

test('without a folder to watch the looks go on', async () => {
  const { path, calls, begin } = watched();
  writeFileSync(join(path, 'input'), 'a file where the folder should be');
  begin();
  await until('both are looked at again', () => calls.control > 1 && calls.input > 1);
});
