/** The lives of runs on engines: each is a session directory there, which is mirrored and followed like one of this machine. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Run, Session } from '../../../protocol/domain.ts';
import type { ExitRecord, Launch } from '../../../protocol/session.ts';
import { idSchema, launchSchema, SESSION_FILES } from '../../../protocol/session.ts';
import { PLACE_FILES } from '../../../protocol/task.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { isSetAside } from '../../../session/sweep.ts';
import type { JobState } from '../../engines/contract.ts';
import { Mirror, SessionUnseen } from '../../engines/mirror.ts';
import type { Reach } from '../../engines/reach.ts';
import type { RunFields } from '../../store/catalog/run-change.ts';
import { type ProjectContext, sessionOf, sessionsPath } from '../context.ts';
import type { Launcher } from '../launch/launcher.ts';
import { sessionOfLaunch } from '../records.ts';
import type { EngineRecord } from './records.ts';
import { cancelledText, endedText } from './words.ts';

const MAX_LAUNCH_BYTES = 1 << 20;

interface Followed {
  mirror: Mirror;
  directory: SessionDirectory;
  launch: Launch;
  isOver: boolean;
}

export class Lives {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #followed = new Map<string, Followed>();

  constructor(context: ProjectContext, launcher: Launcher) {
    this.#context = context;
    this.#launcher = launcher;
  }

  /** Begins to follow the oldest life of a place that was not followed yet. Returns its session; null: there is none. */
  async begin(
    reach: Reach,
    { place, seen }: EngineRecord,
    run: Run,
    kill: () => Promise<void>,
  ): Promise<string | null> {
    const sessions = `${place}/${PLACE_FILES.sessions}`;
    const fresh: Launch[] = [];
    for (const { name } of await reach.list(sessions)) {
      if (seen.includes(name)) continue;
      const bytes = await reach.read(`${sessions}/${name}/${SESSION_FILES.launch}`, 0, MAX_LAUNCH_BYTES);
      const launch = bytes && launchOf(bytes.toString('utf8'));
      if (launch?.session === name) fresh.push(launch);
    }
    const launch = fresh.sort((a, b) => (a.life ?? 0) - (b.life ?? 0))[0];
    if (!launch) return null;
    const last = seen.at(-1);
    if (last) await this.#takeLate(reach, sessions, last, run);
    const directory = SessionDirectory.create(sessionsPath(this.#context), launch);
    const session: Session = { ...sessionOfLaunch(run, launch), identity: launch.identity };
    await this.#context.store.putSession(session);
    const isEnding = run.status === 'pausing' || run.status === 'stopping';
    const set: RunFields = {
      ...(run.sessions === 0 ? launch.identity : {}),
      status: isEnding ? run.status : 'starting',
      reason: '',
      waiting: null,
      session: session.id,
      sessions: session.ordinal,
      startedAt: run.startedAt ?? launch.createdAt,
      step: session.resumedFrom?.step ?? 0,
      endedAt: null,
      etaSeconds: null,
    };
    const { status, sessions: lives } = run;
    const starting = await this.#launcher.changeIf(run.id, { status, sessions: lives }, { set });
    // It was withdrawn meanwhile: the next look begins.
    if (!starting) return null;
    this.#follow(reach, sessions, starting, session, launch, directory, kill);
    return session.id;
  }

  /**
   * Takes what the life before has written after its engine had given it up: it may have lived on a node that was lost sight of. A
   * later one has begun, so it writes no more.
   */
  async #takeLate(reach: Reach, sessions: string, id: string, run: Run): Promise<void> {
    const { store, announce } = this.#context;
    const session = await store.session(id);
    const directory = sessionOf(this.#context, id);
    if (!session || !directory.launch()) return;
    const mirror = this.#mirror(reach, `${sessions}/${id}`, directory);
    await mirror.copy().catch((error) => {
      if (!(error instanceof SessionUnseen)) throw error;
    });
    for (const source of ['runnerEvents', 'events'] as const) while ((await store.takeEvents(id, source)).more);
    const claimed = directory.claimed().filter((name) => !isSetAside(name));
    const paths = [
      ...claimed.map((name) => join(directory.file('taking'), name)),
      ...directory.inbox().flatMap((name) => directory.claim(name) ?? []),
    ];
    if (paths.length === 0) return;
    for (const path of paths) {
      const { checkpoint } = await store.saveCheckpoint({ directory: path, run, session }, 0);
      rmSync(path, { recursive: true, force: true });
      announce.checkpoint(checkpoint);
    }
    announce.run(await store.changeRun(run.id, { recount: true }));
  }

  #mirror(reach: Reach, from: string, directory: SessionDirectory): Mirror {
    return new Mirror(reach, from, directory, async (id) => (await this.#context.store.checkpoint(id)) !== undefined);
  }

  /** Follows a life on, after a start of the daemon. */
  async again(reach: Reach, { place, session: id }: EngineRecord, run: Run, kill: () => Promise<void>): Promise<void> {
    const session = id ? await this.#context.store.session(id) : undefined;
    const directory = session && sessionOf(this.#context, session.id);
    const launch = directory?.launch();
    if (!session || !directory || !launch) return;
    this.#follow(reach, `${place}/${PLACE_FILES.sessions}`, run, session, launch, directory, kill);
  }

  /** Copies what is new of a life. Returns true once all of it is here, or if nobody follows it. */
  async look(session: string): Promise<boolean> {
    const followed = this.#followed.get(session);
    if (!followed || followed.isOver) return true;
    if (!(await followed.mirror.copy())) return false;
    this.#finish(session, followed);
    return true;
  }

  /** Passes requests on, also while a large checkpoint is being copied. */
  async pass(session: string): Promise<void> {
    await this.#followed.get(session)?.mirror.sendControl();
  }

  /** Tells whether a life is one before the present start of its job. */
  isEarlierThan(session: string, restarts: number): boolean {
    const restart = this.#followed.get(session)?.launch.allocation?.restart;
    return restart != null && restart < restarts;
  }

  /** Tells whether a later life has begun, of a job whose engine counts no restarts: it does so only once this one is over. */
  async isSucceeded(reach: Reach, { place, seen }: EngineRecord, session: string): Promise<boolean> {
    const launch = this.#followed.get(session)?.launch;
    if (!launch || launch.allocation?.restart != null) return false;
    const names = (await reach.list(`${place}/${PLACE_FILES.sessions}`)).map(({ name }) => name);
    return names.some((name) => v.is(idSchema, name) && !seen.includes(name));
  }

  /** Ends a life that has not told how it ended, by what its engine says. */
  end(session: string, record: EngineRecord, state: JobState): void {
    const followed = this.#followed.get(session);
    if (!followed || followed.isOver) return;
    const part = followed.mirror.partOfExit;
    const exit = exitFor(record, state);
    // A script that has said how it ended has ended so, but for what its engine does with it.
    followed.directory.writeExit(
      part
        ? { ...part, ...(exit.preempted && part.outcome !== 'completed' ? { preempted: exit.preempted } : {}) }
        : exit,
    );
    this.#finish(session, followed);
  }

  #finish(session: string, followed: Followed): void {
    followed.isOver = true;
    void this.#launcher.find(followed.launch.run ?? '')?.follower.look();
    this.#followed.delete(session);
  }

  #follow(
    reach: Reach,
    sessions: string,
    run: Run,
    session: Session,
    launch: Launch,
    directory: SessionDirectory,
    kill: () => Promise<void>,
  ): void {
    const mirror = this.#mirror(reach, `${sessions}/${session.id}`, directory);
    const followed: Followed = { mirror, directory, launch, isOver: false };
    this.#followed.set(session.id, followed);
    this.#launcher.adopt(run, session, launch, { isAlive: () => !followed.isOver, kill });
  }
}

/** Makes the record of a life that has left none. One that was lost with its node goes on, as one that was preempted does. */
function exitFor(record: EngineRecord, state: JobState): ExitRecord {
  const end = (outcome: ExitRecord['outcome'], reason: string, isPreempted = false): ExitRecord => ({
    outcome,
    reason,
    step: 0,
    at: Date.now(),
    error: null,
    ...(isPreempted ? { preempted: { signal: 'SIGKILL', again: record.startsAgain ? 'itself' : 'refused' } } : {}),
  });
  if (state.end === 'cancelled') return end('stopped', record.isUnwanted ? 'killed by request' : cancelledText(record));
  if (state.phase === 'pending' || state.phase === 'running')
    return end('lost', 'its life ended without a record', true);
  const text = endedText(record, state);
  const goesOn = state.end === 'lost' || state.end === 'preempted' || state.end === 'timeout';
  return end('lost', text, goesOn);
}

function launchOf(text: string): Launch | null {
  try {
    const parsed = v.safeParse(launchSchema, JSON.parse(text));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}
