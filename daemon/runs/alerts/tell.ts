/**
 * Passes trouble on by `notify` of `trainstash.json`: to a command, or to a webhook. Only in a folder that a person trusts, since
 * the file comes with the code. Each trouble of a session is told once, also without an editor.
 */
import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { TOLD_CODES } from '../../../protocol/alerts.ts';
import type { Notice, Run } from '../../../protocol/domain.ts';
import { LIVE_STATUSES } from '../../../protocol/status.ts';
import type { Announcer } from '../context.ts';
import { splitWords } from '../launch/command.ts';
import { LastReadable } from './last-readable.ts';

/** Time after which a command or a request is given up. */
const PATIENCE_MS = 20_000;
/** Troubles of runs that are remembered. */
const MOST_REMEMBERED = 10_000;

export interface TellerSetup {
  /** Finds the folder of the code that a run was started in. */
  rootOf(run: Run): string;
  /** Tells whether code in that folder may run. */
  isTrusted(root: string): boolean;
  log(text: string): void;
}

/** Message that is passed on. Chat services read `text` or `content`. */
export interface Told {
  text: string;
  content: string;
  run: string;
  code: string;
  level: Notice['level'];
  step: number | null;
  host: string;
}

export class Teller {
  readonly #setup: TellerSetup;
  readonly #told = new Set<string>();
  /** Runs that were live when they were last heard of. */
  readonly #live = new Set<string>();
  readonly #configs: LastReadable;
  readonly #gone = new AbortController();

  constructor(setup: TellerSetup) {
    this.#setup = setup;
    this.#configs = new LastReadable((text) => setup.log(text));
  }

  /** Names runs that were live when the daemon before this one was last there: how they have ended is news. */
  expect(runs: readonly Pick<Run, 'id'>[]): void {
    for (const { id } of runs) this.#live.add(id);
  }

  /** Wraps what announces to clients: what they hear is passed on, too. */
  around(announce: Announcer): Announcer {
    return {
      ...announce,
      run: (run) => {
        announce.run(run);
        this.#ended(run);
      },
      notice: (run, notice) => {
        announce.notice(run, notice);
        if (run) this.#noticed(run, notice);
      },
    };
  }

  dispose(): void {
    this.#gone.abort();
  }

  #noticed(run: Run, { code, level, text, step }: Notice): void {
    if (code.endsWith('Over')) this.#told.delete(keyOf(run, code.slice(0, -'Over'.length)));
    if (level !== 'info' && TOLD_CODES.has(code)) this.#once(run, code, level, text, step);
  }

  #ended(run: Run): void {
    if (LIVE_STATUSES.includes(run.status)) {
      this.#live.add(run.id);
      return;
    }
    if (!this.#live.delete(run.id)) return;
    if (run.status !== 'failed' && run.status !== 'lost') return;
    this.#once(run, run.status, 'error', `${run.status}: ${run.reason || 'no reason is known'}`, run.step);
  }

  #once(run: Run, code: string, level: Notice['level'], text: string, step: number | null): void {
    const key = keyOf(run, code);
    if (this.#told.has(key)) return;
    if (this.#told.size > MOST_REMEMBERED) this.#told.clear();
    this.#told.add(key);
    const whole = `${run.name}: ${text}`;
    this.#pass(run, { text: whole, content: whole, run: run.name, code, level, step, host: hostname() }).catch(
      (error) => this.#setup.log(`notify: ${run.name}, ${code}: ${(error as Error).message}`),
    );
  }

  async #pass(run: Run, told: Told): Promise<void> {
    const root = this.#setup.rootOf(run);
    const target = this.#configs.read(root)?.notify;
    if (target === undefined || !this.#setup.isTrusted(root)) return;
    if (typeof target === 'string' && /^https?:\/\//i.test(target)) await post(target, told, this.#gone.signal);
    else await command(typeof target === 'string' ? (splitWords(target) ?? []) : target, root, told, this.#gone.signal);
  }
}

function keyOf({ id, session }: Run, code: string): string {
  return `${id} ${session ?? ''} ${code}`;
}

/** Sends the message as JSON. A redirect is not followed: it could lead anywhere. */
async function post(url: string, told: Told, gone: AbortSignal): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(told),
    redirect: 'error',
    signal: AbortSignal.any([gone, AbortSignal.timeout(PATIENCE_MS)]),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the webhook answered with status ${response.status}`);
}

/** Runs the words without a shell. `${text}` and the like are filled in; the message is on its standard input as JSON, too. */
function command(words: readonly string[], cwd: string, told: Told, gone: AbortSignal): Promise<void> {
  const [program, ...rest] = words.map((word) =>
    word.replaceAll(/\$\{(text|run|code|level|step|host)\}/g, (_, name: keyof Told) => String(told[name] ?? '')),
  );
  if (program === undefined) return Promise.reject(new Error('the command has no words'));
  return new Promise((done, failed) => {
    const child = spawn(program, rest, {
      cwd,
      stdio: ['pipe', 'ignore', 'ignore'],
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
      signal: gone,
    });
    child.once('error', failed);
    child.once('exit', (code, signal) =>
      code === 0 ? done() : failed(new Error(`"${program}" ended with ${signal ?? `status ${code}`}`)),
    );
    // A command that reads nothing closes it early.
    child.stdin.on('error', () => {});
    child.stdin.end(`${JSON.stringify(told)}\n`);
  });
}
