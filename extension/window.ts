/**
 * A window with Trainstash: the connection, one model of its projects, and the views that draw the model. Data flows one way:
 * the connection tells the model, the model tells the views.
 */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { BUILD } from '../base/build.ts';
import { Connection } from '../pages/connection.ts';
import type { Notice, Run } from '../protocol/domain.ts';
import { isError } from '../protocol/errors.ts';
import { branchFollow } from '../protocol/messages/branch.ts';
import { queueSupply } from '../protocol/messages/run.ts';
import { counted } from '../protocol/words.ts';
import { isLive } from './commands/targets.ts';
import { type App, launchFrom, report } from './core/app.ts';
import { FirstSteps } from './core/first-steps.ts';
import { isInUse } from './core/folders.ts';
import { Model } from './core/model.ts';
import { Remembered } from './core/remembered.ts';
import { oneLine } from './core/text.ts';
import { Usage } from './core/usage.ts';
import { Notices } from './notices.ts';
import { JobsTree } from './views/jobs.ts';
import { NotebookCells } from './views/notebook-cells.ts';
import { type Node, RunsTree } from './views/runs.ts';
import { StashesTree } from './views/stashes.ts';
import { StatusBar } from './views/status-bar.ts';

/** Notices after which the list of stashes has changed. */
const STASH_NOTICES = { switched: 1, vanished: 1, stashOffered: 1 };

/** Key of this window's state: true once the example was trained here. */
const EXAMPLE = 'example';

const AGES_MS = 60_000;

type State = 'noFolder' | 'unused' | 'failed' | 'loading' | 'ready';

export class TrainstashWindow {
  readonly #context: vscode.ExtensionContext;
  readonly #log = vscode.window.createOutputChannel('Trainstash', { log: true });
  readonly #connection: Connection;
  readonly #model: Model;
  readonly #app: App;
  readonly #notices: Notices;
  readonly #tree: RunsTree;
  readonly #jobs: JobsTree;
  readonly #stashes: StashesTree;
  readonly #status: StatusBar;
  readonly #cells: NotebookCells;
  readonly #runs: vscode.TreeView<Node>;
  readonly #usage: Usage;
  /** Folder of the copy of the example. */
  readonly #example: string;
  readonly #firstSteps = new FirstSteps();
  /** Resolves once the window knows what it has to show, or that it cannot know. */
  readonly #loaded = Promise.withResolvers<void>();
  /** Null until the bundle of the actions is loaded. */
  #actions: import('./actions.ts').Actions | null = null;

  constructor(context: vscode.ExtensionContext, dist: string) {
    this.#context = context;
    const log = this.#log;
    this.#connection = new Connection({
      log: (text) => log.info(text),
      async connect(start) {
        // The import takes longer than all else of the start, so it waits until the window has started.
        const { connectEditor } = await import('./language-client.ts');
        const node = vscode.workspace.getConfiguration('trainstash').get<string>('nodePath') || undefined;
        return connectEditor({ name: 'editor', build: BUILD, dist: start ? dist : null, node }, log);
      },
    });
    const connection = this.#connection;
    this.#model = new Model(connection, {
      project: () => this.#drawAll(),
      run: (root, run) => this.#drawRun(root, run),
      checkpoints: (_root, run) => {
        this.#tree.redrawRun(run);
        this.#usage.changed();
      },
      notice: (root, run, notice) => this.#drawNotice(root, run, notice),
    });
    const model = this.#model;
    this.#notices = new Notices({
      rootOf: (run) => model.rootOf(run.id) ?? '',
      answerFollow: (root, follow) =>
        connection.request(branchFollow, { root, follow }).catch((error) => report(this.#app, error)),
    });
    this.#app = {
      connection,
      model,
      log: this.#log,
      firstSteps: this.#firstSteps,
      dist,
      chooseRoot: () => this.#chooseRoot(),
    };
    this.#example = join(context.globalStorageUri.fsPath, 'example');
    this.#tree = new RunsTree(model, this.#example, new Remembered(context.workspaceState), this.#loaded.promise);
    this.#jobs = new JobsTree(connection, model);
    this.#stashes = new StashesTree(connection, model);
    this.#status = new StatusBar(model, connection);
    this.#cells = new NotebookCells(model);
    this.#runs = vscode.window.createTreeView<Node>('trainstash.runs', {
      treeDataProvider: this.#tree,
      canSelectMany: true,
      showCollapseAll: true,
    });
    const roots = () => model.projects.map(({ project }) => project.root);
    this.#usage = new Usage(connection, roots, (text) => {
      this.#runs.description = text;
    });
    const owned = [this.#log, connection, this.#usage, this.#tree, this.#jobs, this.#stashes, this.#status, this.#runs];
    context.subscriptions.push(...owned, this.#cells);
  }

  /** Registers the views, connects where a folder has something to show, and then loads the actions. */
  async start(): Promise<void> {
    this.#registerViews();
    this.#connection.onStatus((now) => {
      if (now.kind === 'ready') {
        this.#model.restart();
        // Everything is asked for again, also after the daemon was killed.
        this.#openFolders()
          .catch((error) => report(this.#app, error))
          .finally(() => this.#loaded.resolve());
      } else {
        if (now.kind === 'failed') this.#loaded.resolve();
        this.#drawAll();
      }
    });
    this.#drawAll();
    // Ages in the rows grow while nothing happens.
    const minute = setInterval(() => this.#tree.redraw(), AGES_MS);
    this.#context.subscriptions.push({ dispose: () => clearInterval(minute) });
    void this.#lookForProjects();
    const { Actions } = await import('./actions.ts');
    this.#actions = new Actions(this.#app, this.#context, {
      runs: this.#runs,
      tree: this.#tree,
      stashes: this.#stashes,
      status: this.#status,
      openFolders: (always) => this.#openFolders(always),
      example: { folder: this.#example, show: (shown) => this.#showExample(shown) },
      redraw: () => this.#drawAll(),
    });
    this.#actions.projectsChanged();
  }

  #registerViews(): void {
    const { subscriptions } = this.#context;
    const watcher = vscode.workspace.createFileSystemWatcher('**/trainstash.{json,jsonc}');
    for (const event of [watcher.onDidCreate, watcher.onDidChange, watcher.onDidDelete])
      subscriptions.push(event(() => this.#jobs.redraw()));
    subscriptions.push(
      watcher,
      vscode.notebooks.registerNotebookCellStatusBarItemProvider('jupyter-notebook', this.#cells),
      vscode.window.registerTreeDataProvider('trainstash.jobs', this.#jobs),
      vscode.window.registerTreeDataProvider('trainstash.stashes', this.#stashes),
      vscode.workspace.onDidChangeWorkspaceFolders(() => this.#openFolders()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#openFolders()),
    );
  }

  /** Shows the project of the example in this window, also after a reload, or no longer. */
  async #showExample(shown: boolean): Promise<void> {
    await this.#context.workspaceState.update(EXAMPLE, shown);
    await this.#openFolders(shown);
  }

  /** Lists the folders of this window whose projects are shown. */
  #folders(): string[] {
    const hasExample = this.#context.workspaceState.get<boolean>(EXAMPLE, false);
    return hasExample ? [...folders(), this.#example] : folders();
  }

  /** Connects at startup; starts a daemon only for a folder that has something to show. */
  async #lookForProjects(): Promise<void> {
    const used = await Promise.all(this.#folders().map(isInUse));
    try {
      if (used.some(Boolean)) await this.#connection.connect(true);
      else this.#loaded.resolve();
    } catch (error) {
      // The view shows the error, with the reason and a button.
      this.#log.error((error as Error).message);
    }
  }

  async #openFolders(always = false): Promise<void> {
    const wanted: string[] = [];
    for (const folder of this.#folders()) if (await isInUse(folder)) wanted.push(folder);
    if (wanted.length > 0 || always) await this.#connection.connect(true).catch(() => {});
    if (this.#connection.status.kind !== 'ready') return this.#drawAll();
    const roots = new Set<string>();
    for (const folder of wanted) {
      try {
        // The example is ours, so it is trusted like the extension.
        const { project } = await this.#model.open(folder, vscode.workspace.isTrusted || folder === this.#example);
        roots.add(project.root);
        if (project.needEnvironment > 0 && vscode.workspace.isTrusted) await this.#supplyQueue(project.root);
      } catch (error) {
        if (!isError(error, 'notFound')) await report(this.#app, error);
      }
    }
    for (const { project } of this.#model.projects) if (!roots.has(project.root)) this.#model.forget(project.root);
    this.#loaded.resolve();
    this.#jobs.redraw();
    this.#stashes.redraw();
    this.#drawAll();
  }

  /** Supplies this window's environment, which queued runs of a previous daemon may need. */
  async #supplyQueue(root: string): Promise<void> {
    const { environment, interpreter } = await launchFrom(root);
    await this.#connection.request(queueSupply, { root, environment, interpreter });
  }

  async #chooseRoot(): Promise<string | undefined> {
    const roots = this.#model.projects.map(({ project }) => project.root);
    const active = vscode.window.activeTextEditor?.document.uri.fsPath;
    const inside = roots.filter((root) => active?.startsWith(root)).sort((a, b) => b.length - a.length)[0];
    if (inside || roots.length === 1) return inside ?? roots[0];
    if (roots.length === 0) return void this.#tellOfNothing();
    return vscode.window.showQuickPick(roots, { title: 'Trainstash: which project?' });
  }

  async #tellOfNothing(): Promise<void> {
    const actions = { 'Run a Script…': 'runFile', 'Train the Example': 'example' } as const;
    const names = Object.keys(actions) as (keyof typeof actions)[];
    const chosen = await vscode.window.showInformationMessage('Nothing was trained in this folder yet.', ...names);
    if (chosen) await vscode.commands.executeCommand(`trainstash.${actions[chosen]}`);
  }

  #drawAll(): void {
    this.#actions?.projectsChanged();
    this.#usage.changed();
    const state = this.#stateNow();
    for (const { runs } of this.#model.projects) for (const run of runs.values()) this.#firstSteps.run(run);
    const live = this.#model.projects.some((mirror) => mirror.liveRuns().length > 0);
    void vscode.commands.executeCommand('setContext', 'trainstash.state', state);
    void vscode.commands.executeCommand('setContext', 'trainstash.live', live);
    void vscode.commands.executeCommand('setContext', 'trainstash.example', this.#folders().includes(this.#example));
    void vscode.commands.executeCommand(
      'setContext',
      'trainstash.hasRuns',
      this.#model.projects.some((mirror) => mirror.branches.length > 0),
    );
    const { status: now } = this.#connection;
    // A view with rows does not show its welcome text, so its message shows the error.
    const filtered = this.#tree.filter === '' ? undefined : `Only runs that match “${this.#tree.filter}”`;
    this.#runs.message =
      now.kind === 'failed' && this.#model.projects.length > 0 ? oneLine(now.error.message.split('\n')[0]!) : filtered;
    this.#tree.redraw();
    this.#cells.redraw();
    this.#status.redraw();
    this.#drawBadge();
  }

  #drawBadge(): void {
    const count = this.#model.projects.flatMap((mirror) => mirror.liveRuns()).filter(isLive).length;
    this.#runs.badge = count > 0 ? { value: count, tooltip: counted(count, 'live run') } : undefined;
    void vscode.commands.executeCommand('setContext', 'trainstash.live', count > 0);
  }

  #stateNow(): State {
    if (this.#model.projects.length > 0) return 'ready';
    if (folders().length === 0) return 'noFolder';
    const { kind } = this.#connection.status;
    if (kind === 'failed') return 'failed';
    return kind === 'connecting' ? 'loading' : 'unused';
  }

  #drawRun(root: string | undefined, run: Run): void {
    this.#firstSteps.run(run);
    this.#tree.redrawRun(run.id);
    this.#status.redraw();
    this.#cells.redraw();
    if (root) this.#notices.run(run);
    this.#drawBadge();
  }

  #drawNotice(root: string, run: Run | null, notice: Notice): void {
    this.#notices.notice(root, run, notice);
    if (notice.code in STASH_NOTICES) this.#stashes.redraw();
  }
}

function folders(): string[] {
  return (vscode.workspace.workspaceFolders ?? [])
    .filter(({ uri }) => uri.scheme === 'file')
    .map(({ uri }) => uri.fsPath);
}
