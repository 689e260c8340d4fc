/** Provides jobs as tasks: for Run Task, keybindings, and steps before a debugger. A task ends when its run does. */
import * as vscode from 'vscode';
import type { Run } from '../protocol/domain.ts';
import { isError } from '../protocol/errors.ts';
import { projectJobs } from '../protocol/messages/project.ts';
import { runChanged, runShow, runStart } from '../protocol/messages/run.ts';
import { isCrash, LIVE_STATUSES } from '../protocol/status.ts';
import { type App, launchFrom } from './core/app.ts';
import { oneLine } from './core/text.ts';
import { LogTerminal } from './views/log-terminal.ts';

const TYPE = 'trainstash';
/** Interval of looks beside the daemon's word: it may be another daemon by now. */
const LOOK_MS = 5_000;

interface JobDefinition extends vscode.TaskDefinition {
  job: string;
  params?: Record<string, string | number | boolean | null>;
}

export class JobTasks implements vscode.TaskProvider {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  static register(app: App, context: vscode.ExtensionContext): void {
    context.subscriptions.push(vscode.tasks.registerTaskProvider(TYPE, new JobTasks(app)));
  }

  async provideTasks(): Promise<vscode.Task[]> {
    const tasks: vscode.Task[] = [];
    for (const { project } of this.#app.model.projects) {
      const folder = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(project.root));
      const { jobs } = await this.#app.connection.request(projectJobs, { root: project.root });
      for (const { name } of jobs) tasks.push(this.#task({ type: TYPE, job: name }, project.root, folder));
    }
    return tasks;
  }

  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const definition = task.definition as JobDefinition;
    if (typeof definition.job !== 'string') return undefined;
    const folder = typeof task.scope === 'object' ? task.scope : undefined;
    const root = folder?.uri.fsPath ?? this.#app.model.projects[0]?.project.root;
    return root === undefined ? undefined : this.#task(definition, root, folder);
  }

  #task(definition: JobDefinition, root: string, folder: vscode.WorkspaceFolder | undefined): vscode.Task {
    const execution = new vscode.CustomExecution(async () => new JobTerminal(this.#app, root, definition));
    const scope = folder ?? vscode.TaskScope.Workspace;
    const task = new vscode.Task(definition, scope, oneLine(definition.job), 'Trainstash', execution);
    task.detail = 'Start this training and follow it';
    return task;
  }
}

/** Terminal that starts the run when it is opened. Closing it does not end the run. */
class JobTerminal implements vscode.Pseudoterminal {
  readonly #app: App;
  readonly #root: string;
  readonly #definition: JobDefinition;
  readonly #write = new vscode.EventEmitter<string>();
  readonly #close = new vscode.EventEmitter<number>();
  readonly onDidWrite = this.#write.event;
  readonly onDidClose = this.#close.event;
  #log: LogTerminal | null = null;
  #closed = false;

  constructor(app: App, root: string, definition: JobDefinition) {
    this.#app = app;
    this.#root = root;
    this.#definition = definition;
  }

  open(size: vscode.TerminalDimensions | undefined): void {
    void this.#run(size);
  }

  close(): void {
    this.#closed = true;
    this.#log?.close();
  }

  handleInput(text: string): void {
    this.#log?.handleInput(text);
  }

  setDimensions(size: vscode.TerminalDimensions): void {
    this.#log?.setDimensions(size);
  }

  async #run(size: vscode.TerminalDimensions | undefined): Promise<void> {
    const { connection } = this.#app;
    try {
      const { job, params } = this.#definition;
      const request = { root: this.#root, job, params: params ?? {}, ...(await launchFrom(this.#root)) };
      let run: Run = await connection.request(runStart, request);
      if (this.#closed) return;
      this.#log = new LogTerminal(connection, this.#root, run);
      this.#log.onDidWrite((text) => this.#write.fire(text));
      this.#log.open(size);
      while (!this.#closed && LIVE_STATUSES.includes(run.status)) {
        // Before the look: what changes after it counts.
        const change = this.#nextChange(run);
        run = await this.#look(run);
        if (LIVE_STATUSES.includes(run.status)) await change.promise;
        change.close();
      }
      this.#close.fire(isCrash(run.status) ? 1 : 0);
    } catch (error) {
      this.#write.fire(`${(error as Error).message.replaceAll('\n', '\r\n')}\r\n`);
      this.#close.fire(1);
    }
  }

  /** Waits for word of the run, or for the next look. */
  #nextChange({ id }: Run): { promise: Promise<void>; close(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LOOK_MS);
    const unsubscribe = this.#app.connection.on(runChanged, ({ run }) => {
      if (run.id === id) resolve();
    });
    return {
      promise,
      close() {
        clearTimeout(timer);
        unsubscribe();
      },
    };
  }

  /** Reads the run's state. Without a daemon the run continues, and so does the task. */
  async #look(run: Run): Promise<Run> {
    try {
      return (await this.#app.connection.poll(runShow, { root: this.#root, run: run.id })).run;
    } catch (error) {
      if (isError(error, 'daemonUnavailable')) return run;
      throw error;
    }
  }
}
