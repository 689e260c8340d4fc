/** Everything that the language server answers about half-typed text, in trainstash.json and in Python. */
import { readFileSync } from 'node:fs';
import { configLanguage } from '../../../daemon/language/config/config.ts';
import { openDocument } from '../../../daemon/language/document.ts';
import { lookAtScript } from '../../../daemon/language/python-scripts/python.ts';
import { checkConfig } from '../../../daemon/runs/config-checks.ts';
import { isError } from '../../../protocol/errors.ts';
import { labelledScripts } from '../../labelled/labelled.ts';
import type { FuzzTarget } from '../target.ts';

const LIMITS = { maxBytes: 1 << 13, hangMs: 2_000, guided: true };
const text = (input: Uint8Array) => Buffer.from(input).toString('utf8');

const language = configLanguage(async () => null, true);

export const typedConfig: FuzzTarget = {
  ...LIMITS,
  name: 'trainstash.json in an editor',
  seeds: () => [
    Buffer.from(
      '{\n  // one\n  "jobs": { "a": { "run": "python a.py ${params.lr}", "params": { "lr": 1 }, "keep": { "best": "loss" } } }\n}',
    ),
    Buffer.from('{ "jbos": {}, "jobs": { "b": ["python", "-m", "x.y"], "c": { "export": { "q": "a ${out}" } } } }'),
  ],
  words: [
    '"jobs"',
    '"run"',
    '"module"',
    '"export"',
    '${',
    '}',
    '"',
    '\\',
    '/*',
    '//',
    '\ufeff',
    '[[[[',
    '&&',
    '-m ',
    '\n',
  ],
  async run(input) {
    const typed = text(input);
    const document = openDocument('file:///nowhere/trainstash.json', 'jsonc', 1, typed);
    for (const { offset, length } of checkConfig(typed).problems)
      if (offset < 0 || offset + length > typed.length + 1) throw new Error('a problem lies outside of the text');
    await language.diagnose(document);
    for (const offset of [0, typed.length >> 1, typed.length]) {
      await language.complete!(document, offset);
      await language.hover!(document, offset);
      await language.define!(document, offset);
      language.renameable!(document, offset);
      try {
        language.rename!(document, offset, 'other');
      } catch (error) {
        if (!isError(error, 'paramInvalid')) throw error;
      }
    }
  },
};

export const typedScript: FuzzTarget = {
  ...LIMITS,
  name: 'a Python script in an editor',
  seeds: () => labelledScripts().map((path) => readFileSync(path)),
  words: [
    'run.epochs(3)',
    'run.state(',
    'for x in ',
    'with (a as b):',
    'lambda',
    '"""',
    'f"{',
    ':=',
    '    ',
    '\t',
    '\n',
    '(',
    '# trainstash: ignore',
    'match x:\n',
    '@',
  ],
  run(input) {
    const document = openDocument('file:///nowhere/train.py', 'python', 1, text(input)).text;
    const lines = document.lineCount;
    for (const { range, fixes } of lookAtScript(document).findings)
      for (const { start, end } of [range, ...(fixes ?? []).flatMap(({ edits }) => edits.map((edit) => edit.range))])
        if (start.line < 0 || end.line >= lines || start.line > end.line)
          throw new Error('a place lies outside of the text');
  },
};
