/**
 * Pushes by itself what jobs want to have elsewhere. A training never waits for it: what is new is noted in a queue on disk, and sent
 * beside it. After a failure the same remote is tried again after longer and longer pauses, and people hear of it once.
 */
import { isError, type TrainstashError } from '../../../protocol/errors.ts';
import type { PushPolicy } from '../../../protocol/pushing.ts';
import type { RemoteConfigs } from '../config.ts';
import { PushQueue, type Waiting } from './queue.ts';

/** Time after which a remote that cannot be reached keeps no idle daemon alive any more. */
const GIVEN_UP_MS = 86_400_000;
/** Time after which the store is asked again that could not tell what is due. */
const LOOK_AGAIN_MS = 60_000;
/** Number of sessions whose policy is remembered. */
const MAX_SESSIONS = 1_000;

/** Time as this module needs it; tests have their own. */
export interface Clock {
  now(): number;
  /** Calls back after that time; the result takes it back. */
  after(ms: number, work: () => void): () => void;
}

export interface PushNotice {
  code: 'pushFails' | 'pushGoesOn' | 'pushNotAccepted' | 'pushSkipped';
  level: 'info' | 'warning';
  text: string;
}

/** Progress of the push that is under way. */
export interface Sending {
  run: string;
  done: number;
  total: number;
}

export interface AutomaticSetup {
  configs: RemoteConfigs;
  /** Returns the policy of a session's job: null if it says nothing, undefined if the session was not launched here. */
  policyOf(session: string): PushPolicy | null | undefined;
  /** Tells whether a run may still make checkpoints; null: there is no such run. */
  isLive(run: string): Promise<boolean | null>;
  /** Sends what is new about a run. */
  send(
    remote: string,
    run: string,
    policy: PushPolicy,
    signal: AbortSignal,
    progress: (done: number, total: number) => void,
  ): Promise<void>;
  tell(run: string, notice: PushNotice): void;
  /** Reports that the state of a remote has changed. */
  changed(): void;
  log(text: string): void;
  clock: Clock;
}

export class AutomaticPush {
  readonly #setup: AutomaticSetup;
  readonly #queues = new Map<string, PushQueue>();
  readonly #working = new Map<string, AbortController>();
  readonly #timers = new Map<string, () => void>();
  readonly #sending = new Map<string, Sending>();
  /** Time of the last push of each run, by remote and run. */
  readonly #sentAt = new Map<string, number>();
  readonly #policies = new Map<string, PushPolicy[]>();
  readonly #told = new Set<string>();
  readonly #idle = new Set<() => void>();
  #closed = false;

  constructor(setup: AutomaticSetup) {
    this.#setup = setup;
    for (const { name } of setup.configs.list()) if (this.#queue(name).runs.size > 0) this.#look(name);
  }

  /** Notes that there is something new about a run: a checkpoint, its end, a tag. */
  noticed(run: string, session: string): void {
    if (this.#closed) return;
    for (const policy of this.#policiesOf(run, session)) {
      this.#queue(policy.to).add(run, policy, this.#setup.clock.now());
      this.#setup.changed();
      this.#look(policy.to);
    }
  }

  /** State of a remote, for people. */
  state(name: string): {
    waiting: number;
    sending: Sending | null;
    failing: { since: number; message: string } | null;
  } {
    const { runs, failing } = this.#queue(name);
    return {
      waiting: runs.size,
      sending: this.#sending.get(name) ?? null,
      failing: failing && { since: failing.since, message: failing.message },
    };
  }

  /** Lists the runs of which something waits for a remote. */
  waitingRuns(name: string): string[] {
    return [...this.#queue(name).runs.keys()];
  }

  /** True while something waits that may still be sent: the daemon stays. */
  get busy(): boolean {
    const now = this.#setup.clock.now();
    const isHoped = (failing: { since: number } | null) => failing === null || now - failing.since < GIVEN_UP_MS;
    return [...this.#queues.values()].some(
      ({ runs, failing }) => isHoped(failing) && [...runs.values()].some((waiting) => isHoped(waiting.failing)),
    );
  }

  /** Tries again at once what has failed: a person has done something about a remote, or has given other credentials. */
  retry(): void {
    for (const [name, queue] of this.#queues) {
      queue.retryNow(this.#setup.clock.now());
      this.#look(name);
    }
  }

  /** Forgets a remote that was removed. */
  forget(name: string): void {
    this.#working.get(name)?.abort();
    this.#timers.get(name)?.();
    this.#timers.delete(name);
    void this.#queues.get(name)?.close();
    this.#queues.delete(name);
    this.#policies.clear();
    this.#told.clear();
  }

  /** Uses settings of remotes that have changed. */
  refresh(): void {
    this.#policies.clear();
    this.#told.clear();
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    while (this.#working.size > 0) await new Promise<void>((resolve) => this.#idle.add(resolve));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    for (const controller of this.#working.values()) controller.abort();
    await this.settled();
    for (const queue of this.#queues.values()) await queue.close();
  }

  #queue(name: string): PushQueue {
    const known = this.#queues.get(name);
    if (known) return known;
    const queue = new PushQueue(this.#setup.configs.path(name, 'queue.json'));
    this.#queues.set(name, queue);
    return queue;
  }

  #policiesOf(run: string, session: string): PushPolicy[] {
    const known = this.#policies.get(session);
    if (known) return known;
    const { configs } = this.#setup;
    const own = this.#setup.policyOf(session);
    if (own === undefined) return [];
    let policies: PushPolicy[];
    if (own === null)
      policies = configs.list().map(({ name, push }) => ({ to: name, which: push, everySeconds: 0, keep: null }));
    else if (configs.has(own.to)) policies = [own];
    else {
      this.#tellOnce(run, own.to);
      return [];
    }
    policies = policies.filter(({ which }) => which !== 'none');
    if (this.#policies.size >= MAX_SESSIONS) this.#policies.clear();
    this.#policies.set(session, policies);
    return policies;
  }

  #tellOnce(run: string, remote: string): void {
    const key = `${run}/${remote}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#setup.tell(run, {
      code: 'pushNotAccepted',
      level: 'warning',
      text: `Its job pushes to ${remote}, which was not accepted on this machine. Nothing is sent; checkpoints are kept here as always. \`trainstash remote add ${remote}\` shows where it leads, and accepts it.`,
    });
  }

  /** Sends what is due at a remote, and comes back when the next of it is. */
  #look(name: string): void {
    if (this.#closed || this.#working.has(name)) return;
    this.#timers.get(name)?.();
    this.#timers.delete(name);
    const controller = new AbortController();
    this.#working.set(name, controller);
    void this.#work(name, controller.signal)
      .catch((error: Error) => this.#setup.log(`pushing to ${name}: ${error.stack}`))
      .finally(() => {
        this.#working.delete(name);
        this.#sending.delete(name);
        for (const resolve of this.#idle) resolve();
        this.#idle.clear();
        this.#setup.changed();
        this.#wait(name);
      });
  }

  async #work(name: string, signal: AbortSignal): Promise<void> {
    const queue = this.#queue(name);
    for (;;) {
      const next = await this.#next(name, queue);
      if (signal.aborted || !next || next.dueAt > this.#setup.clock.now()) return;
      const { run, waiting } = next;
      try {
        await this.#setup.send(name, run, waiting.policy, signal, (done, total) => {
          this.#sending.set(name, { run, done, total });
          this.#setup.changed();
        });
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(name, run, queue, error as Error);
        if (queue.failing) return;
        continue;
      }
      this.#sentAt.set(`${name}/${run}`, this.#setup.clock.now());
      queue.done(run, waiting);
      const over = queue.succeeded();
      if (over) this.#goesOn(name, run);
    }
  }

  /** Waits for the next thing that becomes due, if nothing new comes before. */
  #wait(name: string): void {
    const queue = this.#queues.get(name);
    if (this.#closed || !queue || queue.runs.size === 0) return;
    const lookIn = (ms: number) => {
      if (this.#closed || this.#working.has(name) || this.#queues.get(name) !== queue) return;
      this.#timers.get(name)?.();
      this.#timers.set(
        name,
        this.#setup.clock.after(ms, () => this.#look(name)),
      );
    };
    this.#next(name, queue)
      .then((next) => next && lookIn(Math.max(0, next.dueAt - this.#setup.clock.now())))
      .catch((error: Error) => {
        // The store may answer again: what waits is not forgotten, and ends no daemon.
        this.#setup.log(`pushing to ${name}: ${error.stack}`);
        lookIn(LOOK_AGAIN_MS);
      });
  }

  /** Finds what is due first. */
  async #next(name: string, queue: PushQueue): Promise<{ run: string; waiting: Waiting; dueAt: number } | null> {
    let first: { run: string; waiting: Waiting; dueAt: number } | null = null;
    for (const [run, waiting] of [...queue.runs]) {
      const isLive = await this.#setup.isLive(run);
      if (isLive === null) {
        queue.drop(run);
        continue;
      }
      const sentAt = this.#sentAt.get(`${name}/${run}`);
      const pause = isLive && sentAt !== undefined ? sentAt + waiting.policy.everySeconds * 1000 : 0;
      const dueAt = Math.max(pause, queue.failing?.nextAt ?? 0, waiting.failing?.nextAt ?? 0);
      if (!first || dueAt < first.dueAt) first = { run, waiting, dueAt };
    }
    return first;
  }

  #failed(name: string, run: string, queue: PushQueue, error: Error): void {
    this.#setup.log(`pushing to ${name}: ${error.message}`);
    if (!isOfRemote(error)) {
      // Another run may be fine.
      queue.runFailed(run, this.#setup.clock.now());
      const text = `Not all of it was sent to ${name}: ${error.message} The rest of it and other runs are sent. Trainstash tries again, less and less often.`;
      // A notice changes the run, which comes here again: of the same trouble it is told once.
      if (this.#told.has(text + run)) return;
      this.#told.add(text + run);
      this.#setup.tell(run, { code: 'pushSkipped', level: 'warning', text });
      return;
    }
    if (!queue.failed(error.message, this.#setup.clock.now())) return;
    const text = `Nothing can be sent to ${name} at present. ${error.message} Trainstash goes on trying, less and less often, and says when it works again.`;
    this.#setup.tell(run, { code: 'pushFails', level: 'warning', text });
  }

  #goesOn(name: string, run: string): void {
    const { size } = this.#queue(name).runs;
    const text = `Checkpoints are sent to ${name} again${size > 0 ? '; what waited follows' : ''}.`;
    this.#setup.tell(run, { code: 'pushGoesOn', level: 'info', text });
  }
}

/** Tells whether an error is about the remote, and not about the one run. Damage is of one object, of which others need nothing. */
function isOfRemote(error: Error): error is TrainstashError {
  const codes = [
    'remoteUnreachable',
    'remoteDenied',
    'remoteFull',
    'remoteGone',
    'remoteForeign',
    'remoteSealed',
  ] as const;
  return codes.some((code) => isError(error, code));
}
