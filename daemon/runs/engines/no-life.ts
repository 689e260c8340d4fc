/** Settles a job that has ended while no life of its run was followed: the run is over, or it is submitted again. */
import type { Run, RunStatus } from '../../../protocol/domain.ts';
import { secondsOf } from '../../../protocol/engines.ts';
import { isError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import { PLACE_FILES } from '../../../protocol/task.ts';
import { AnswerLost, type Engine, type JobState } from '../../engines/contract.ts';
import type { ProjectContext } from '../context.ts';
import type { Launcher } from '../launch/launcher.ts';
import { prepareGround } from './place.ts';
import type { EngineRecord, EngineRecords } from './records.ts';
import { cancelledText, endedText, FORGOTTEN, lastLines, resubmittedText } from './words.ts';

/** Submissions without a life between them, after which a run is given up. */
const MAX_FRUITLESS = 5;
/** Wait before the second submission; each is four times as long as the one before. */
const FIRST_WAIT_MS = 15_000;

export class NoLife {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #records: EngineRecords;

  constructor(context: ProjectContext, launcher: Launcher, records: EngineRecords) {
    this.#context = context;
    this.#launcher = launcher;
    this.#records = records;
  }

  async settle(record: EngineRecord, run: Run, state: JobState, engine: Engine): Promise<void> {
    const end = async (status: RunStatus, reason: string) => {
      this.#records.remove(run.id);
      await this.#launcher.change(run.id, {
        set: { status, reason, waiting: null, endedAt: Date.now(), draft: false },
      });
    };
    if (record.isUnwanted) {
      const isStop = record.endsAs === 'stopped';
      return end(record.endsAs, isStop ? 'ended by request' : `withdrawn from ${record.engine}`);
    }
    if (state.end === 'cancelled') return end('stopped', cancelledText(record));
    const ended = endedText(record, state);
    if (record.seen.length === 0)
      return end(state.phase === 'gone' ? 'lost' : 'failed', `${ended} before its training began${await printed()}`);
    if (state.phase === 'gone') return end('lost', ended);
    if (record.fruitless >= MAX_FRUITLESS)
      return end(
        'lost',
        `${ended}; it was submitted again ${MAX_FRUITLESS} times without beginning, and is given up${await printed()}`,
      );
    const secrets = this.#records.secretsOf(record);
    if (!secrets) return end('paused', FORGOTTEN);
    if (record.againAt === 0) record = this.#plan(record);
    if (Date.now() < record.againAt) return;
    try {
      await this.#submitAgain(record, run, engine, secrets);
    } catch (error) {
      if (isError(error, 'engineUnreachable')) throw error;
      await end('lost', `it could not be submitted again: ${(error as Error).message}`);
    }

    async function printed(): Promise<string> {
      return lastLines((await engine.reach.read(`${record.place}/${PLACE_FILES.log}`, 0, 64 << 10))?.toString() ?? '');
    }
  }

  /** Notes when a run is submitted again: at once after a life, and later and later after jobs that had none. */
  #plan(record: EngineRecord): EngineRecord {
    const wait = record.fruitless === 0 ? 0 : FIRST_WAIT_MS * 4 ** (record.fruitless - 1);
    return this.#records.change(record.run, { againAt: Date.now() + wait }) ?? record;
  }

  async #submitAgain(
    record: EngineRecord,
    run: Run,
    engine: Engine,
    secrets: Readonly<Record<string, string>>,
  ): Promise<void> {
    // It has ended, but a cluster may be told to start it again.
    await engine.cancel(record.job);
    const { program } = await prepareGround(this.#context, engine, record.config);
    const known = this.#launcher.environmentOf(run.id)?.environment;
    const key = randomId();
    const before = this.#records.get(run.id);
    if (before?.job !== record.job || before.isUnwanted) return;
    const fruitless = record.fruitless + 1;
    // In the record before it is sent: a daemon that dies then finds the job again.
    this.#records.put({ ...before, key, task: null, job: '', submittedAt: Date.now(), fruitless, againAt: 0 });
    const job = await engine
      .submit({
        name: run.job,
        key,
        places: [record.place],
        program,
        nodes: record.nodes,
        graceSeconds: secondsOf(record.config.grace),
        secrets,
        environment: known ?? {},
      })
      .then(
        ({ jobs }) => jobs[0]!,
        (error) => {
          if (error instanceof AnswerLost) return '';
          // Nothing was taken; as it was, but for the count.
          this.#records.change(run.id, { job: record.job, againAt: 0 });
          throw error;
        },
      );
    if (job !== '') this.#records.change(run.id, { job });
    const text = resubmittedText(record, job, known !== undefined);
    const notice = { code: 'resubmitted', level: 'info' as const, text, step: run.step, at: Date.now() };
    await this.#launcher.change(run.id, { addNotices: [notice] });
  }
}
