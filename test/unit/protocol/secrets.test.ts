/** One list of rules for secrets, applied by the daemon and by the Python package: the same table tests both. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isMasked, MASK, maskParams, maskText, maskWords } from '../../../protocol/secrets.ts';
import { Generator } from '../../support/generator.ts';
import { ordinaryLines } from '../../support/ordinary-lines.ts';
import { secretForms } from '../../support/secret-forms.ts';

const SEEDS = [1, 2];
const LINES = 2_000;
const MOST_FALSE_ALARMS = 0.01;

const forms = SEEDS.flatMap((seed) => secretForms(seed));
const lines = ordinaryLines(1, LINES);

/** Returns the Python package's masking of each value. */
function inPython<T>(kind: 'words' | 'text' | 'params', values: readonly T[]): T[] {
  const code = `
import json, sys
sys.path.insert(0, sys.argv[1])
from trainstash import masking
masks = {"words": masking.mask_words, "text": masking.mask_text, "params": masking.mask_params}
print(json.dumps([masks[sys.argv[2]](value) for value in json.load(sys.stdin)]))`;
  const packages = join(import.meta.dirname, '../../../python/src');
  const { stdout, stderr, status } = spawnSync('python3', ['-c', code, packages, kind], {
    input: JSON.stringify(values),
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

describe('secrets', () => {
  test('in more than 200 forms are masked, and the rest of the line stays', () => {
    expect(new Set(forms.map(({ name }) => name)).size).toBeGreaterThan(200);
    const wrong = forms.flatMap(({ name, words, secrets, shown }) => {
      const written = maskWords(words).join(' ');
      const leaked = secrets.filter((secret) => secret !== '' && written.includes(secret));
      const lost = shown.filter((part) => !written.includes(part));
      const isWrong = leaked.length > 0 || lost.length > 0 || !written.includes(MASK);
      return isWrong ? [`${name}: ${words.join(' ')} → ${written}`] : [];
    });
    expect(wrong).toEqual([]);
  });

  test('are seldom seen where there are none', () => {
    const alarms = lines.filter((words) => maskWords(words).join('\0') !== words.join('\0'));
    expect(lines.length).toBe(LINES);
    expect(alarms.length / LINES, alarms.map((words) => words.join(' ')).join('\n')).toBeLessThanOrEqual(
      MOST_FALSE_ALARMS,
    );
  });

  test('are the same to the daemon and to the Python package', () => {
    const words = [...forms.map((form) => form.words), ...lines];
    expect(inPython('words', words)).toEqual(words.map((each) => maskWords(each)));
    const texts = [...words.slice(0, 1_000).map((each) => each.join(' ')), ...oddTexts(1_500)];
    expect(inPython('text', texts)).toEqual(texts.map((text) => maskText(text)));
    const odd = oddTexts(800).map((text) => text.split('\u00a6'));
    expect(inPython('words', odd)).toEqual(odd.map((each) => maskWords(each)));
  });

  test('among params are masked by their names, wherever they are nested', () => {
    const params = {
      lr: 0.1,
      api_key: 'abc',
      units: [64, 64],
      resume: 'a'.repeat(40),
      logger: { wandb: { key: 'Ab3dEf6hIj9k', project: 'digits' }, urls: ['https://me:pw7@host/x'] },
      db: { password: 12345, host: 'h', port: 5432 },
      max_tokens: 512,
      pad_token: '<pad>',
      tokenizer: 'gpt2',
      wandb: '0123456789'.repeat(4),
      auth: null,
      use_auth_token: true,
    };
    const masked = maskParams(params);
    expect(masked).toEqual({
      ...params,
      api_key: MASK,
      logger: { wandb: { key: MASK, project: 'digits' }, urls: [`https://me:${MASK}@host/x`] },
      db: { password: MASK, host: 'h', port: 5432 },
      wandb: MASK,
    });
    expect(isMasked(masked.api_key)).toBe(true);
    expect(inPython('params', [params])).toEqual([masked]);
  });

  test('that are masked stay masked, and nothing more is masked the next time', () => {
    for (const { words } of forms.slice(0, forms.length / SEEDS.length)) {
      const once = maskWords(words);
      expect(maskWords(once)).toEqual(once);
    }
  });

  test('are reported to a listener', () => {
    const found: string[] = [];
    maskWords(['x', '--token', 'abc', 'https://me:def@h'], (secret) => found.push(secret));
    expect(found).toEqual(['abc', 'def']);
  });

  test('are found in time linear in the text', () => {
    const pieces = [
      'a',
      'a.',
      'eyJ',
      '1',
      'password',
      'a=',
      '"',
      '\\"',
      'https://',
      'a:a@',
      '-----BEGIN ',
      'x,',
      '[}',
      '$',
      ' --a ',
    ];
    const texts = pieces.map((piece) => piece.repeat(Math.floor(60_000 / piece.length)));
    const start = performance.now();
    for (const text of texts) maskText(text);
    for (const text of texts) maskWords(['x', `--${text.slice(0, 5_000)}`, text]);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(maskText('x'.repeat(1 << 20))).toBe(MASK);
  });
});

/** Makes texts from what the rules look at, in any order; careless rules take some letters of other scripts for ours. */
function oddTexts(count: number): string[] {
  const random = new Generator(7);
  const pieces = [
    ...'"\'\\=:;&?#@/ ,.-_()[]{}<>\n\t$%*',
    ...[
      'token',
      'password',
      'API_KEY',
      'key',
      'lr',
      '--',
      '-H',
      'https://',
      'me:',
      'Bearer ',
      'Authorization: ',
      '***',
    ],
    ...[
      'ſecret',
      'toKen',
      'İ',
      'ß',
      '\u2028',
      '\u00a0',
      '\ufeff',
      '😀',
      '\ud83d\ude00é',
      'Ａ',
      '\u001f',
      '0',
      '1e3',
      'none',
      '\u00a6',
    ],
  ];
  return Array.from({ length: count }, () =>
    Array.from({ length: 2 + random.below(10) }, () =>
      random.below(4) === 0 ? random.mixed(random.below(24)) : random.pick(pieces),
    ).join(''),
  );
}
