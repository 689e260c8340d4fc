/** Actions of pages in a browser. Those that need an editor are not offered there. */
import type { DashboardActions, DiffActions, PageProject, RunPageActions } from '../../pages/host.ts';
import { killRun, pauseRun, removeAll } from '../../pages/run-flows.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { isError, type PreflightDifference } from '../../protocol/errors.ts';
import { checkpointTag, checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import type { Request } from '../../protocol/messages/request.ts';
import { runCheckpoint, runFork, runResume, runStop, runUpdate } from '../../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { counted, integer } from '../../protocol/words.ts';
import { parseParams } from '../arguments.ts';
import type { Asker } from './tab.ts';

/** Number of runs in a list to choose from. */
const MOST_OFFERED = 500;

export class BrowserActions implements DashboardActions, RunPageActions, DiffActions {
  readonly #project: PageProject;
  readonly #asker: Asker;
  readonly #environment: () => Record<string, string>;

  constructor(project: PageProject, asker: Asker, environment: () => Record<string, string>) {
    this.#project = project;
    this.#asker = asker;
    this.#environment = environment;
  }

  looked(): void {}

  openFile(): void {}

  openAll(): void {}

  openRun(id: string): void {
    this.#asker.go(`/run/${id}`);
  }

  async offer(run: Run, checkpoint: Checkpoint): Promise<void> {
    const title = `${run.name} at step ${integer(checkpoint.step)}`;
    const buttons = [
      { value: 'resumeFrom', label: 'Resume from Here' },
      { value: 'fork', label: 'Fork…' },
      { value: 'compare', label: 'Compare…' },
      { value: 'verify', label: 'Verify' },
      { value: 'tag', label: 'Tag…' },
    ] as const;
    const answer = await this.#asker.ask({ title, buttons: [...buttons] });
    const chosen = buttons.find(({ value }) => value === answer?.button);
    if (chosen) await this.actOn(chosen.value, run, checkpoint);
  }

  act(action: Parameters<DashboardActions['act']>[0] | Parameters<RunPageActions['act']>[0], on: Run | readonly Run[]) {
    const runs: readonly Run[] = Array.isArray(on) ? on : [on as Run];
    const run = runs[0]!;
    switch (action) {
      case 'openRun':
        return this.openRun(run.id);
      case 'diff':
      case 'compare':
        return this.#compare(
          runs.map(({ id }) => id),
          run,
        );
      case 'resume':
        return this.#resume(run);
      case 'pause':
        return pauseRun(this.#asker, this.#project.connection, this.#project.root, run);
      case 'stop':
        return this.#request(runStop, { run: run.id });
      case 'kill':
        return this.#kill(run);
      case 'checkpoint':
        return this.#checkpoint(run);
      case 'rename':
        return this.#rename(run);
      case 'note':
        return this.#note(run);
      case 'report':
        return this.#asker.go(`/report/${run.id}`);
      case 'delete':
        return this.#delete(run);
    }
  }

  actOn(action: Parameters<RunPageActions['actOn']>[0], run: Run, checkpoint: Checkpoint) {
    switch (action) {
      case 'resumeFrom':
        return this.#resume(run, checkpoint);
      case 'fork':
        return this.#fork(run, checkpoint);
      case 'compare':
        return this.#compare([checkpoint.id], run);
      case 'verify':
        return this.#verify(checkpoint);
      case 'tag':
        return this.#tag(run, checkpoint);
    }
  }

  #request<P extends { root: string }, R>(message: Request<P, R>, params: Omit<P, 'root'>): Promise<R> {
    return this.#project.connection.request(message, { ...params, root: this.#project.root } as unknown as P);
  }

  /** Trusts the folder, as typing the command that starts something does. */
  async #trust(): Promise<void> {
    await this.#project.connection.request(projectOpen, { root: this.#project.root, trusted: true });
  }

  async #kill(run: Run): Promise<void> {
    const { connection, root } = this.#project;
    const killed = await killRun(this.#asker, connection, root, run);
    if (killed) await this.#resume(killed);
  }

  async #checkpoint(run: Run): Promise<void> {
    const { step } = await this.#project.connection.request(runCheckpoint, { root: this.#project.root, run: run.id });
    this.#asker.tell(`The checkpoint of step ${integer(step)} is stored.`);
  }

  async #resume(run: Run, from?: Checkpoint): Promise<void> {
    await this.#trust();
    const params = { run: run.id, set: {}, environment: this.#environment(), ...(from ? { from: from.id } : {}) };
    try {
      await this.#request(runResume, { ...params, accept: false });
    } catch (error) {
      if (!isError(error, 'preflightDiffers')) throw error;
      const current = await this.#decide(run, error.data.differences);
      if (!current) return;
      await this.#request(runResume, { ...params, accept: true, current });
    }
    this.#asker.tell(`${run.name} was resumed.`);
  }

  /** Shows what differs from the checkpoint. Returns the params that are to be today's; null: not accepted. */
  async #decide(run: Run, differences: readonly PreflightDifference[]): Promise<string[] | null> {
    const params = differences.filter(({ kind }) => kind === 'param').map(({ name }) => name);
    const answer = await this.#asker.ask({
      title: `${run.name}: ${counted(differences.length, 'thing differs', 'things differ')} from the checkpoint`,
      detail: [
        ...differences.map(
          ({ kind, name, checkpoint, current }) =>
            `${kind}${name ? `: ${name}` : ''}: checkpoint ${checkpoint || '–'} → now ${current || '–'}`,
        ),
        'It continues from the checkpoint, but bit for bit only if nothing differs.',
      ],
      buttons: [
        { value: 'then', label: params.length > 0 ? 'Resume with the Checkpoint’s Params' : 'Resume Anyway' },
        ...(params.length > 0 ? [{ value: 'now', label: 'Resume with Today’s Params' }] : []),
      ],
    });
    return answer && (answer.button === 'now' ? params : []);
  }

  async #fork(run: Run, checkpoint: Checkpoint): Promise<void> {
    const title = `Fork ${run.name} at step ${integer(checkpoint.step)}`;
    const text = await this.#asker.input(
      title,
      '',
      'Params to change, as key=value pairs separated by spaces; may be empty.',
    );
    if (text === null) return;
    const set = parseParams(text.split(/\s+/).filter(Boolean), 'set');
    await this.#trust();
    const params = { run: run.id, from: checkpoint.id, set, environment: this.#environment() };
    const fork = await this.#project.connection
      .request(runFork, { root: this.#project.root, ...params, accept: false })
      .catch(async (error) => {
        if (!isError(error, 'preflightDiffers')) throw error;
        const current = await this.#decide(run, error.data.differences);
        if (!current) return null;
        return this.#project.connection.request(runFork, {
          root: this.#project.root,
          ...params,
          accept: true,
          current,
        });
      });
    if (fork) this.openRun(fork.id);
  }

  async #verify(checkpoint: Checkpoint): Promise<void> {
    await this.#trust();
    this.#asker.tell(`Replaying from step ${integer(checkpoint.step)}…`);
    const params = { root: this.#project.root, checkpoint: checkpoint.id, environment: this.#environment() };
    const { proof } = await this.#project.connection.request(checkpointVerify, params);
    this.#asker.tell(
      proof.verdict === 'equal'
        ? `Verified: ${counted(proof.steps, 'step')} were recomputed bit for bit.`
        : `Not verified: ${proof.verdict}.`,
      proof.verdict !== 'equal',
    );
  }

  async #tag(run: Run, checkpoint: Checkpoint): Promise<void> {
    const title = `Tag step ${integer(checkpoint.step)} of ${run.name}`;
    const tag = await this.#asker.input(title, '', 'Tagged checkpoints are never deleted automatically.');
    if (tag) await this.#request(checkpointTag, { checkpoint: checkpoint.id, tag });
  }

  async #rename(run: Run): Promise<void> {
    const name = await this.#asker.input('Name of the run', run.name);
    if (name?.trim()) await this.#request(runUpdate, { run: run.id, name });
  }

  async #note(run: Run): Promise<void> {
    const note = await this.#asker.input(`Note to ${run.name}`, run.note);
    if (note !== null) await this.#request(runUpdate, { run: run.id, note });
  }

  async #delete(run: Run): Promise<void> {
    if (LIVE_STATUSES.includes(run.status)) return;
    const { connection, root } = this.#project;
    await removeAll(this.#asker, connection, [{ root, target: run.id, name: run.name }]);
  }

  async #compare(ids: readonly string[], run: Run): Promise<void> {
    if (ids.length > 1) return this.#asker.go(`/diff?sides=${ids.join(',')}`);
    const others = [...this.#project.runs.all()].filter(({ id }) => id !== run.id || ids[0] !== id);
    const answer = await this.#asker.ask({
      title: 'Compare with',
      options: others
        .sort((a, b) => b.createdAt - a.createdAt)
        .slice(0, MOST_OFFERED)
        .map(({ id, name, number, status }) => ({ value: id, label: `${number} ${name}, ${status}` })),
      buttons: [{ value: 'yes', label: 'Compare' }],
    });
    if (answer?.text) this.#asker.go(`/diff?sides=${ids[0]},${answer.text}`);
  }
}
