/**
 * The record of a live run, as what follows its session holds it: changed here at once, and written by the fields that were changed.
 * What other owners have written meanwhile stays, and is here after the next write.
 */
import type { Notice, Run } from '../../../protocol/domain.ts';
import { type RunChange, type RunFields, withChange } from '../../store/catalog/run-change.ts';
import type { Store } from '../../store/client.ts';

export class HeldRun {
  readonly #store: Pick<Store, 'changeRun' | 'recordProgress'>;
  #run: Run;
  /** Fields and notices that were changed since the last write. */
  #fields = new Set<keyof RunFields>();
  #notices: Notice[] = [];
  #writes = 0;

  constructor(store: Pick<Store, 'changeRun' | 'recordProgress'>, run: Run) {
    this.#store = store;
    this.#run = run;
  }

  get run(): Run {
    return this.#run;
  }

  set(fields: RunFields): void {
    this.#run = withChange(this.#run, { set: fields });
    for (const name of Object.keys(fields)) this.#fields.add(name as keyof RunFields);
  }

  addNotice(notice: Notice): void {
    this.#run = withChange(this.#run, { addNotices: [notice] });
    this.#notices.push(notice);
  }

  /** Writes what was changed, and `more`. After a failure the next write has what was changed too. */
  async write(more: Pick<RunChange, 'dropNotices' | 'recount'> = {}): Promise<Run> {
    const [fields, notices] = [this.#fields, this.#notices];
    this.#fields = new Set();
    this.#notices = [];
    const own = ++this.#writes;
    const set = Object.fromEntries([...fields].map((name) => [name, this.#run[name]])) as RunFields;
    // Without those that are sent.
    const known = { ...this.#run, notices: this.#run.notices.filter((notice) => !notices.includes(notice)) };
    const isProgress = notices.length === 0 && Object.keys(more).length === 0 && [...fields].every(isOfProgress);
    let stored: Run;
    try {
      stored = isProgress
        ? await this.#store.recordProgress(this.#run.id, set, known)
        : await this.#store.changeRun(this.#run.id, { set, addNotices: notices, ...more }, known);
    } catch (error) {
      for (const name of fields) this.#fields.add(name);
      this.#notices.unshift(...notices);
      throw error;
    }
    // The answer to an earlier write lacks what a later one has sent.
    if (own === this.#writes) this.#take(stored);
    return this.#run;
  }

  /** Takes a record over, but for what was changed here since. */
  #take(stored: Run): void {
    const unwritten = Object.fromEntries([...this.#fields].map((name) => [name, this.#run[name]])) as RunFields;
    this.#run = withChange(stored, { set: unwritten, addNotices: this.#notices });
  }
}

/** Fields that follow from a run's events. */
const OF_PROGRESS: readonly (keyof RunFields)[] = [
  'step',
  'epoch',
  'metrics',
  'etaSeconds',
  'totalSteps',
  'stepsPerEpoch',
];

function isOfProgress(field: keyof RunFields): boolean {
  return OF_PROGRESS.includes(field);
}
