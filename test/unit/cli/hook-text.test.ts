import { describe, expect, test } from 'vitest';
import { isShellScript } from '../../../cli/hook-text.ts';

describe('a hook', () => {
  test.each([
    'a python in a folder whose name ends like a shell /home/me/flash-attn/bin/python3',
    'a node below such a folder /opt/english-a/bin/node',
    'env with node /usr/bin/env node',
    'env with options /usr/bin/env -S node --no-warnings',
    'env with a variable /usr/bin/env BASH=sh python3',
    'a program with an extension /usr/bin/sh.js',
  ])('that is not a shell script is recognised: %s', (text) => {
    const line = text.slice(text.indexOf('/'));
    expect(isShellScript(`#!${line}\necho 1\n`)).toBe(false);
  });

  test.each([
    '/bin/sh',
    ' /bin/sh -e',
    '/usr/bin/env bash',
    '/usr/bin/env -S bash -e',
    '/usr/bin/env LANG=C sh',
    '/usr/local/bin/zsh',
  ])('that is a shell script is recognised: %s', (line) => {
    expect(isShellScript(`#!${line}\necho 1\n`)).toBe(true);
  });

  test('without a first line of that kind runs in a shell', () => {
    expect(isShellScript('echo 1\n')).toBe(true);
  });
});
