/** The daemon's message server: it answers every request with a result or a typed error, and stays alive. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../../client/connect.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { daemonStatus } from '../../../protocol/messages/daemon.ts';
import type { Request } from '../../../protocol/messages/request.ts';
import { type Fixture, makeFixture, openProject, startSmall, untilStatus } from '../../support/daemon.ts';
import { REQUESTS as ALL_REQUESTS } from '../../support/messages.ts';
import type { FuzzTarget } from '../target.ts';

/** Requests that end the daemon, which are left out since it should end. */
const ENDS = new Set(['daemon/stop', 'daemon/handOver', 'daemon/hello']);
const REQUESTS = ALL_REQUESTS.filter(({ method }) => !ENDS.has(method));

let fixture: Fixture;
let client: Client;
let pid: number;
/** References that exist in the fixture's store. */
let known: string[];

export const requests: FuzzTarget = {
  name: 'requests to the daemon',
  async seeds() {
    fixture = makeFixture();
    client = await openProject(fixture);
    const run = await startSmall(client, fixture);
    await untilStatus(client, fixture, run.id, 'completed');
    pid = client.daemon.pid;
    mkdirSync(join(fixture.folder, 'untrusted'));
    known = [
      run.id,
      '1',
      run.lastCheckpoint?.id ?? '',
      'best',
      '1@best',
      '1@4',
      'main',
      'loss',
      'safetensors',
      'small.ts',
    ];
    return REQUESTS.map(
      (_, index) => new Uint8Array(Array.from({ length: 40 }, (__, at) => (at === 0 ? index : 7 * at))),
    );
  },
  words: [],
  async run(input) {
    const source = new ByteSource(input);
    const request = REQUESTS[source.next() % REQUESTS.length]!;
    const params = paramsOf(request, source);
    try {
      await client.request(request, params);
    } catch (error) {
      if (!(error instanceof TrainstashError)) throw error;
      if (error.code === 'internal' || error.code === 'daemonUnavailable')
        throw new Error(`${request.method} ${JSON.stringify(params)}: ${error.message}`);
    }
    const status = await client.request(daemonStatus, {});
    if (status.pid !== pid) throw new Error('the daemon has ended and started again');
  },
  maxBytes: 1 << 12,
  hangMs: 30_000,
  guided: false,
};

/** Source of decisions, one byte each; zero when they are used up. */
class ByteSource {
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.next() % list.length]!;
  }
}

/** Makes params with the names that the message knows, mostly of the right type, so that code behind the check is reached. */
function paramsOf(request: Request<unknown, unknown>, source: ByteSource): unknown {
  if (source.next() % 32 === 31) return source.pick(ODD_VALUES);
  const entries = (request.schema as unknown as { entries?: Record<string, unknown> }).entries ?? {};
  const params: Record<string, unknown> = {};
  for (const name of Object.keys(entries)) {
    // Nothing is started: the effect of a made-up command line is unknown.
    if (['command', 'job', 'interpreter', 'debugger'].includes(name)) continue;
    const decision = source.next();
    if (name === 'root') params.root = decision % 8 < 6 ? fixture.root : source.pick(folders());
    else if (name === 'environment') params.environment = {};
    else if (['directory', 'out', 'path', 'folder'].includes(name)) params[name] = source.pick(folders());
    else if (decision % 4 !== 3) params[name] = source.pick([...known, ...COMMON_VALUES]);
    else if (decision % 8 === 7) params[name] = source.pick(ODD_VALUES);
  }
  return params;
}

/** Lists folders inside the test's own one, or impossible to write to: a request that is obeyed does no harm. */
function folders(): string[] {
  const { root, folder } = fixture;
  return [
    root,
    `${root}/small.ts`,
    `${folder}/untrusted`,
    `${folder}/missing`,
    `${folder}/new/deep`,
    '/dev/null',
    '/proc',
    '\0',
  ];
}

const COMMON_VALUES = [true, false, 0, 1, 4, 200, [], {}, ['loss'], 'x', 'a..b', '1..1', 'train', 'diverged', null];
const ODD_VALUES: readonly unknown[] = [
  null,
  [],
  '',
  '\0',
  '../../..',
  'x'.repeat(5_000),
  '\ud800',
  -1,
  1e300,
  0.5,
  Number.MAX_SAFE_INTEGER,
  { toString: 1 },
  [[[[[[]]]]]],
  { loss: { nested: ['deep', null] } },
];
