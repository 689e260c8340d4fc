/** Readers of text from anywhere: messages, trainstash.json, printed lines, events of a session. */
import { Readable } from 'node:stream';
import * as v from 'valibot';
import { BoundedMessageReader } from '../../../base/framing.ts';
import { parseConfig } from '../../../daemon/runs/config.ts';
import { splitWords } from '../../../daemon/runs/launch/command.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import {
  checkpointFileSchema,
  controlSchema,
  eventSchema,
  exitSchema,
  inputSchema,
  launchSchema,
  processSchema,
} from '../../../protocol/session.ts';
import { readMetricLine } from '../../../runner/lines.ts';
import { reasonOf } from '../../../runner/reason.ts';
import type { FuzzTarget } from '../target.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const text = (input: Uint8Array) => Buffer.from(input).toString('utf8');
const frame = (body: string) => `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

const LIMITS = { maxBytes: 1 << 13, hangMs: 1_000, guided: true };

export const messages: FuzzTarget = {
  ...LIMITS,
  name: 'message framing',
  seeds: () => [
    bytes(frame('{"jsonrpc":"2.0","id":1,"method":"daemon/status","params":{}}')),
    bytes(frame('{"jsonrpc":"2.0","method":"exit"}') + frame('[]')),
  ],
  words: ['Content-Length: ', '\r\n\r\n', '999999999', '-1', '0', '2', '{}', 'null', '{"__proto__":{}}'],
  async run(input) {
    const stream = Readable.from([Buffer.from(input)], { objectMode: false });
    const reader = new BoundedMessageReader(stream);
    const closed = new Promise<void>((resolve) => reader.onClose(resolve));
    reader.onError(() => {});
    reader.listen((message) => {
      if (typeof message !== 'object' || message === null) throw new Error('returned something that is not a message');
    });
    stream.once('end', () => stream.destroy());
    await closed;
  },
};

export const config: FuzzTarget = {
  ...LIMITS,
  name: 'trainstash.json',
  seeds: () => [
    bytes(
      JSON.stringify({
        jobs: {
          train: {
            run: 'python train.py --lr ${lr}',
            resume: ['python', 'train.py', '--ckpt', '${checkpoint}'],
            params: { lr: 0.1, list: [1, 'a', null] },
            checkpoint: { every: '5m', best: 'min:loss' },
            keep: { last: 3, every: 100 },
            onNaN: 'pause',
          },
          small: { module: 'small.ts' },
        },
        files: ['data/*.pt'],
      }),
    ),
    bytes('// comment\n{ "jobs": { "a": "python a.py", }, }'),
  ],
  words: [
    '"jobs"',
    '"run"',
    '"every"',
    '5m',
    '"1 epochs"',
    '${',
    '}',
    '\\u0000',
    '/*',
    '//',
    '\ufeff',
    '1e999',
    '"__proto__"',
    '[[[[',
  ],
  run(input) {
    try {
      parseConfig('/project/trainstash.json', text(input));
    } catch (error) {
      if (!isError(error, 'configInvalid')) throw error;
      if (!/:\d+:\d+: /.test(error.message)) throw new Error(`names no place: ${error.message}`);
    }
  },
};

export const lines: FuzzTarget = {
  ...LIMITS,
  name: 'printed lines',
  seeds: () => [
    bytes('trainstash step=12 epoch=3 loss=0.25 val/acc=1e-3'),
    bytes('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no\n'),
    bytes('\x1b[32mtrainstash step=1 loss=nan\x1b[0m'),
  ],
  words: [
    'trainstash ',
    'step=',
    'inf',
    '-nan',
    '1e999',
    '\x1b[',
    '\x1b]52;c;',
    '\r',
    '=',
    'Traceback (most recent call last)',
  ],
  run(input) {
    const line = text(input);
    const read = readMetricLine(line);
    for (const value of [read?.step, read?.epoch])
      if (value !== null && value !== undefined && !(Number.isSafeInteger(value) && value >= 0))
        throw new Error(`step or epoch ${value}`);
    reasonOf({ code: 1, signal: null, output: line, words: ['python'], outOfMemory: false, interruptedBy: null });
    const words = splitWords(line);
    if (words?.some((word) => typeof word !== 'string')) throw new Error('words that are no text');
  },
};

const SESSION_FILES = {
  events: eventSchema,
  checkpoint: checkpointFileSchema,
  exit: exitSchema,
  launch: launchSchema,
  process: processSchema,
  control: controlSchema,
  input: inputSchema,
};

export const sessionRecords: FuzzTarget = {
  ...LIMITS,
  name: 'records of a session directory',
  seeds: () => [
    bytes('{"type":"metrics","seq":1,"t":1,"step":1,"epoch":0,"values":{"loss":0.5,"x":"NaN"}}'),
    bytes('{"type":"checkpoint","seq":2,"t":1,"step":1,"name":"a"}'),
    bytes('{"outcome":"failed","step":1,"at":1,"reason":"","error":{"code":"internal","message":"","data":{}}}'),
    bytes(
      '{"format":1,"id":"a","session":"s","step":1,"epoch":0,"batch":0,"createdAt":1,"reasons":[],"grade":"complete","missing":[],"parent":null,"metrics":{},"environment":{},"data":null,"files":[{"name":"a/b","bytes":1}]}',
    ),
    bytes('{"pid":1,"startTime":null,"host":"h","bootId":"b"}'),
  ],
  words: [
    '"type":',
    '"metrics"',
    '"values":',
    '1e999',
    '"../',
    '"/',
    '"C:\\\\',
    '\\u0000',
    'null',
    '[]',
    '{}',
    '"__proto__":',
  ],
  run(input) {
    let value: unknown;
    try {
      value = JSON.parse(text(input));
    } catch {
      return;
    }
    for (const schema of Object.values(SESSION_FILES)) v.safeParse(schema, value);
    const facts = v.safeParse(checkpointFileSchema, value);
    for (const { name } of facts.success ? facts.output.files : [])
      if (/^[/\\]|(^|[/\\])\.\.([/\\]|$)/.test(name)) throw new TrainstashError('internal', `accepts ${name}`, {});
  },
};
