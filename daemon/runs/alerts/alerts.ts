/** Watches the live runs of a project, and tells each trouble once, and once more when it is over and comes again. */
import { statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { ALERT_CODES, type AlertCode } from '../../../protocol/alerts.ts';
import type { Run } from '../../../protocol/domain.ts';
import type { LaunchNotice } from '../live/notices.ts';
import { LastReadable } from './last-readable.ts';
import { countFinite, type Finite, judge } from './rules.ts';

const LOOK_MS = 5_000;

/** Live run, as far as rules concern it. */
export interface Watched {
  readonly run: Run;
  readonly launch: { root: string; createdAt: number };
  readonly follower?: { isHeld: boolean };
  addNotices(notices: readonly LaunchNotice[]): Promise<void>;
}

interface Known {
  session: string | null;
  step: number;
  changedAt: number;
  /** Changes of the step since it last stood still for too long. */
  steps: number;
  finite: Finite;
  told: Set<AlertCode>;
}

export class AlertWatch {
  readonly #live: () => readonly Watched[];
  readonly #log: (text: string) => void;
  readonly #configs: LastReadable;
  readonly #known = new Map<string, Known>();
  readonly #timer: NodeJS.Timeout;
  #looking = false;

  constructor(live: () => readonly Watched[], log: (text: string) => void, lookMs = LOOK_MS) {
    this.#live = live;
    this.#log = log;
    this.#configs = new LastReadable(log);
    this.#timer = setInterval(() => void this.look(), lookMs);
  }

  dispose(): void {
    clearInterval(this.#timer);
  }

  /** Looks at all live runs, unless the look before is not over. */
  async look(now = Date.now()): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const live = this.#live().filter(({ run }) => run.status === 'running');
      for (const id of this.#known.keys()) if (!live.some(({ run }) => run.id === id)) this.#known.delete(id);
      for (const one of live) await this.#lookAt(one, now);
    } catch (error) {
      this.#log(`alerts were not checked: ${(error as Error).message}`);
    } finally {
      this.#looking = false;
    }
  }

  async #lookAt(live: Watched, now: number): Promise<void> {
    const { run, launch } = live;
    const notices: LaunchNotice[] = [];
    const known = this.#knownOf(live, now, notices);
    if (live.follower?.isHeld) known.changedAt = now;
    if (known.step !== run.step) Object.assign(known, { step: run.step, changedAt: now, steps: known.steps + 1 });
    known.finite = countFinite(known.finite, run.metrics);
    const config = this.#configs.read(launch.root);
    const rules = config && (config.alerts ?? {});
    const found = judge(rules, {
      run,
      sinceStep: (now - known.changedAt) / 1000,
      steps: known.steps,
      finite: known.finite,
      diskFree: rules?.diskFree ? await diskFree(launch.root) : null,
      memoryUsed: 1 - freemem() / totalmem(),
    });
    if (found.get('noStep')?.is === 'trouble') known.steps = 0;
    for (const [code, verdict] of found) {
      const wasTold = known.told.has(code);
      if (verdict?.is === 'trouble' && !wasTold) notices.push({ code, level: 'warning', text: verdict.text });
      if (verdict?.is === 'over' && wasTold) notices.push({ code: `${code}Over`, level: 'info', text: verdict.text });
      if (verdict?.is === 'trouble') known.told.add(code);
      else if (verdict?.is === 'over') known.told.delete(code);
    }
    if (notices.length > 0) await live.addNotices(notices);
  }

  /** Returns what is known of a session; of one that is new here, what its run's notices say. */
  #knownOf({ run, launch }: Watched, now: number, notices: LaunchNotice[]): Known {
    const before = this.#known.get(run.id);
    if (before?.session === run.session) return before;
    const standing = toldBefore(run);
    const stood = standing.get('noStep');
    if (stood && stood.at < launch.createdAt) {
      // Its process is gone. If the new one makes no steps either, that is told again.
      standing.delete('noStep');
      notices.push({ code: 'noStepOver', level: 'info', text: 'It was started again.' });
    }
    const known: Known = {
      session: run.session,
      step: run.step,
      changedAt: now,
      steps: 0,
      finite: new Map(),
      told: new Set(standing.keys()),
    };
    this.#known.set(run.id, known);
    return known;
  }
}

/** Lists the trouble that was told before, also by another daemon, and whose end nobody has told. */
function toldBefore({ notices }: Run): Map<AlertCode, Run['notices'][number]> {
  const told = new Map<AlertCode, Run['notices'][number]>();
  for (const notice of notices) {
    const alert = ALERT_CODES.find((one) => notice.code === one || notice.code === `${one}Over`);
    if (alert && notice.code === alert) told.set(alert, notice);
    else if (alert) told.delete(alert);
  }
  return told;
}

async function diskFree(root: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(root);
    return bavail * bsize;
  } catch {
    return null;
  }
}
