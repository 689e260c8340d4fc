/** Names from outside, and the folders that they must not lead out of. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type InsideOptions, inside } from '../../../base/inside.ts';
import { isError } from '../../../protocol/errors.ts';
import { nameProblem, namesProblem } from '../../../protocol/names.ts';
import { temporaryFolder } from '../../support/folder.ts';

/** Returns paths with the part alone, first, in the middle and last, with any separator that some system knows. */
const around = (part: string): string[] =>
  ['/', '\\'].flatMap((between) => [part, `${part}${between}x`, `a${between}${part}${between}x`, `a${between}${part}`]);

const refuses = (folder: string, name: string | Buffer, options?: InsideOptions): boolean => {
  try {
    inside(folder, name as string, options);
    return false;
  } catch (error) {
    if (isError(error, 'unsafeName')) return true;
    throw error;
  }
};

describe('a name is refused', () => {
  const GIT = [
    '.git',
    '.GIT',
    '.Git',
    '.git.',
    '.git ',
    '.git. .',
    '.git::$INDEX_ALLOCATION',
    'git~1',
    'GIT~2',
    '.g\u200cit',
    '.gi\ufefft',
  ];
  test.each(['.', '..', ...GIT].flatMap(around))('%j, which leads out, or to git, on some system', (name) => {
    expect(nameProblem(name)).not.toBeNull();
    expect(refuses('/nowhere', name)).toBe(true);
    expect(refuses('/nowhere', Buffer.from(name))).toBe(true);
  });

  test.each(['', '/', '/x', '//host/x', '\\x', '\\\\host\\x', 'C:\\x', 'c:x', 'a\0b', 'a//b', 'a/', 'a/b/'])(
    '%j',
    (name) => {
      expect(nameProblem(name)).not.toBeNull();
      expect(refuses('/nowhere', name)).toBe(true);
    },
  );

  const DEVICES = ['CON', 'nul', 'aux.pt', 'COM1', 'lpt9.tar.gz', 'prn .x', 'com¹'];
  const CHARACTERS = ['ab:c', 'x.pt:stream', 'a*b', 'a?', 'a|b', '<a>', 'a"b', 'a\nb', 'a\\b', 'x.', 'x ', 'a./b'];
  test.each([...DEVICES, ...CHARACTERS])('%j on Windows alone', (name) => {
    expect(refuses('/nowhere', name, { platform: 'win32' })).toBe(true);
    expect(refuses('/nowhere', `a/${name}`, { platform: 'win32' })).toBe(true);
    expect(refuses('/nowhere', name, { platform: 'linux' })).toBe(false);
  });
});

test.each([
  'state.pt',
  'checkpoint-5/model.safetensors',
  '..hidden',
  '...',
  'a..b',
  'a/..b/c..',
  'git',
  '.gitignore',
  'my.git',
  'epoch=3-loss=0.5.ckpt',
  '2024-01-01T12:00:00.pt',
  ' x',
  '-rf',
  'ä/ö',
  'console.pt',
])('%j is a name like any other', (name) => {
  expect(nameProblem(name)).toBeNull();
  expect(inside('/nowhere', name, { platform: 'linux' })).toBe(join('/nowhere', name));
});

test('bytes that are not UTF-8 stay unchanged', () => {
  const name = Buffer.from([0x61, 0x2f, 0xff, 0xfe]);
  expect(inside('/nowhere', name).equals(Buffer.concat([Buffer.from('/nowhere/'), name]))).toBe(true);
  expect(refuses('/nowhere', Buffer.from([0xff, 0x2f, 0x2e, 0x2e, 0x2f, 0x61]))).toBe(true);
});

test('two files cannot share a name, and a file cannot be the folder of another', () => {
  expect(namesProblem(['a', 'b/c', 'b/d', 'bc'])).toBeNull();
  expect(namesProblem(['a', 'b', 'a'])).toMatch(/one name/);
  expect(namesProblem(['a/b/c', 'a/b'])).toMatch(/"a\/b" is a file and a folder/);
});

describe('links', () => {
  const made = () => {
    const folder = temporaryFolder();
    const [root, outside] = [join(folder, 'root'), join(folder, 'outside')] as const;
    for (const path of [root, outside, join(root, 'plain'), join(root, 'plain/deep')]) mkdirSync(path);
    writeFileSync(join(outside, 'kept'), 'as it was');
    return { root, outside };
  };

  for (const depth of ['', 'plain/', 'plain/deep/'])
    for (const [what, target] of [
      ['a folder', (outside: string) => outside],
      ['a file', (outside: string) => join(outside, 'kept')],
      ['nothing', (outside: string) => join(outside, 'none')],
      ['a folder above', () => '..'],
      ['a folder beside', () => '.'],
    ] as const)
      test(`to ${what} in ${depth || 'the folder itself'} are refused on the way and at the end`, () => {
        const { root, outside } = made();
        symlinkSync(target(outside), join(root, `${depth}link`));
        for (const name of [`${depth}link`, `${depth}link/x`, `${depth}link/a/b`]) {
          expect(refuses(root, name), name).toBe(true);
          expect(refuses(root, Buffer.from(name)), name).toBe(true);
        }
        expect(inside(root, `${depth}link`, { atEnd: 'link' })).toBe(join(root, `${depth}link`));
        expect(refuses(root, `${depth}link/x`, { atEnd: 'link' })).toBe(true);
        expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('as it was');
      });

  test('that the owner has named are followed, and none behind them', () => {
    const { root, outside } = made();
    symlinkSync(outside, join(root, 'big'));
    symlinkSync('/', join(outside, 'further'));
    const links = new Set(['big']);
    expect(inside(root, 'big/x', { links })).toBe(join(root, 'big/x'));
    expect(refuses(root, 'big', { links })).toBe(true);
    expect(refuses(root, 'big/further/x', { links })).toBe(true);
  });

  test('a file in the middle of the path is refused', () => {
    const { root } = made();
    writeFileSync(join(root, 'file'), '');
    expect(refuses(root, 'file/x')).toBe(true);
    expect(inside(root, 'file')).toBe(join(root, 'file'));
  });
});
