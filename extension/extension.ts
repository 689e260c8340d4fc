/**
 * Entry of the extension. It composes what is always visible. What is only needed for actions is in `actions.ts`, a bundle of its
 * own: compiling our code is the largest cost while a window opens.
 */
import { delimiter, join } from 'node:path';
import * as vscode from 'vscode';
import { BUILD } from '../client/build.ts';
import { isError } from '../protocol/errors.ts';
import { branchFollow, queueSupply } from '../protocol/messages.ts';
import { counted } from '../protocol/words.ts';
import { type App, launchFrom, report } from './app.ts';
import { isLive } from './commands/targets.ts';
import { Connection } from './connection.ts';
import { isInUse } from './folders.ts';
import { Model } from './model.ts';
import { Notices } from './notices.ts';
import { Tasks } from './task.ts';
import { oneLine } from './text.ts';
import { Usage } from './usage.ts';
import { JobsTree } from './views/jobs.ts';
import { type Node, RunsTree } from './views/runs.ts';
import { ScriptLens } from './views/script-lens.ts';
import { StashesTree } from './views/stashes.ts';
import { StatusBar } from './views/status-bar.ts';

/** Notices after which the list of stashes has changed. */
const STASH_NOTICES = { switched: 1, vanished: 1, stashOffered: 1 };

type State = 'noFolder' | 'unused' | 'failed' | 'loading' | 'ready';

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel('Trainstash', { log: true });
  const dist = join(context.extensionPath, 'dist');
  offerCommandLine(context, dist);
  const connection = new Connection({
    log: (text) => log.info(text),
    async connect(start) {
      // The import takes half of the extension's load time, so it waits until the window has started.
      const { connect } = await import('../client/connect.ts');
      return connect({
        name: 'editor',
        build: BUILD,
        dist: start ? dist : null,
        node: vscode.workspace.getConfiguration('trainstash').get<string>('nodePath') || undefined,
      });
    },
  });
  const notices = new Notices();
  const model = new Model(connection, {
    project: () => drawAll(),
    run: (root, run) => {
      tree.redrawRun(run.id);
      status.redraw();
      // The lens shows the run's status, not each of its steps.
      if (run.status !== 'running') lenses.redraw();
      if (root) notices.run(run);
      drawBadge();
    },
    checkpoints: (root, run) => {
      tree.redrawRun(run);
      usage.changed(root);
    },
    notice: (root, run, notice) => {
      notices.notice(root, run, notice);
      if (notice.code in STASH_NOTICES) stashes.redraw();
    },
  });
  notices.rootOf = (run) => model.projects.find(({ runs }) => runs.has(run.id))?.project.root ?? '';
  notices.answerFollow = (root, follow) =>
    connection.request(branchFollow, { root, follow }).catch((error) => report(app, error));
  let actions: import('./actions.ts').Actions | null = null;
  const app: App = { connection, model, tasks: new Tasks(connection), log, dist, chooseRoot };
  const tree = new RunsTree(model);
  const jobs = new JobsTree(connection, model);
  const stashes = new StashesTree(connection, model);
  const status = new StatusBar(model, connection);
  const lenses = new ScriptLens(model);
  const runs = vscode.window.createTreeView<Node>('trainstash.runs', {
    treeDataProvider: tree,
    canSelectMany: true,
    showCollapseAll: true,
  });
  const usage = new Usage(connection, (text) => {
    runs.description = text;
  });
  context.subscriptions.push(log, connection, usage, tree, jobs, stashes, status, runs, lenses);
  const python = { language: 'python', scheme: 'file' };
  context.subscriptions.push(vscode.languages.registerCodeLensProvider(python, lenses));
  context.subscriptions.push(vscode.window.registerTreeDataProvider('trainstash.jobs', jobs));
  context.subscriptions.push(vscode.window.registerTreeDataProvider('trainstash.stashes', stashes));

  const watcher = vscode.workspace.createFileSystemWatcher('**/trainstash.json');
  for (const event of [watcher.onDidCreate, watcher.onDidChange, watcher.onDidDelete])
    context.subscriptions.push(event(() => jobs.redraw()));
  context.subscriptions.push(
    watcher,
    vscode.workspace.onDidChangeWorkspaceFolders(() => openFolders()),
    vscode.workspace.onDidGrantWorkspaceTrust(() => openFolders()),
  );
  connection.onStatus((now) => {
    if (now.kind === 'ready') {
      model.restart();
      // Everything is asked for again, also after the daemon was killed.
      openFolders().catch((error) => report(app, error));
    } else drawAll();
  });
  drawAll();
  void lookForProjects();
  const { Actions } = await import('./actions.ts');
  actions = new Actions(app, context, { runs, tree, stashes, status, notices, openFolders, redraw: drawAll });
  actions.projectsChanged();

  /** Connects at startup; starts a daemon only for a folder that has something to show. */
  async function lookForProjects(): Promise<void> {
    const used = await Promise.all(folders().map(isInUse));
    try {
      if (used.some(Boolean)) await connection.connect(true);
    } catch (error) {
      // The view shows the error, with the reason and a button.
      log.error((error as Error).message);
    }
  }

  async function openFolders(always = false): Promise<void> {
    const wanted: string[] = [];
    for (const folder of folders()) if (await isInUse(folder)) wanted.push(folder);
    if (wanted.length > 0 || always) await connection.connect(true).catch(() => {});
    if (connection.status.kind !== 'ready') return drawAll();
    const roots = new Set<string>();
    for (const folder of wanted) {
      try {
        const { project } = await model.open(folder, vscode.workspace.isTrusted);
        roots.add(project.root);
        if (project.needEnvironment > 0 && vscode.workspace.isTrusted) await supplyQueue(project.root);
      } catch (error) {
        if (!isError(error, 'notFound')) await report(app, error);
      }
    }
    for (const { project } of model.projects) if (!roots.has(project.root)) model.forget(project.root);
    jobs.redraw();
    stashes.redraw();
    drawAll();
  }

  /** Supplies this window's environment, which queued runs of a previous daemon may need. */
  async function supplyQueue(root: string): Promise<void> {
    const { environment, interpreter } = await launchFrom(root);
    await connection.request(queueSupply, { root, environment, interpreter });
  }

  async function chooseRoot(): Promise<string | undefined> {
    const roots = model.projects.map(({ project }) => project.root);
    const active = vscode.window.activeTextEditor?.document.uri.fsPath;
    const inside = roots.filter((root) => active?.startsWith(root)).sort((a, b) => b.length - a.length)[0];
    if (inside || roots.length <= 1) return inside ?? roots[0];
    return vscode.window.showQuickPick(roots, { title: 'Trainstash: which project?' });
  }

  function drawAll(): void {
    actions?.projectsChanged();
    usage.changed(model.projects[0]?.project.root);
    const state = stateNow();
    const live = model.projects.some((mirror) => mirror.liveRuns().length > 0);
    void vscode.commands.executeCommand('setContext', 'trainstash.state', state);
    void vscode.commands.executeCommand('setContext', 'trainstash.live', live);
    void vscode.commands.executeCommand(
      'setContext',
      'trainstash.hasRuns',
      model.projects.some((mirror) => mirror.branches.length > 0),
    );
    const { status: now } = connection;
    // A view with rows does not show its welcome text, so its message shows the error.
    const filtered = tree.filter === '' ? undefined : `Only runs that match “${tree.filter}”`;
    runs.message =
      now.kind === 'failed' && model.projects.length > 0 ? oneLine(now.error.message.split('\n')[0]!) : filtered;
    tree.redraw();
    lenses.redraw();
    status.redraw();
    drawBadge();
  }

  function drawBadge(): void {
    const count = model.projects.flatMap((mirror) => mirror.liveRuns()).filter(isLive).length;
    runs.badge = count > 0 ? { value: count, tooltip: counted(count, 'live run') } : undefined;
    void vscode.commands.executeCommand('setContext', 'trainstash.live', count > 0);
  }

  function stateNow(): State {
    if (folders().length === 0) return 'noFolder';
    if (model.projects.length > 0) return 'ready';
    const { kind } = connection.status;
    if (kind === 'failed') return 'failed';
    return kind === 'connecting' ? 'loading' : 'unused';
  }
}

/** Does nothing: everything is disposed with the context; trainings and the daemon continue. */
export function deactivate(): void {}

function folders(): string[] {
  return (vscode.workspace.workspaceFolders ?? [])
    .filter(({ uri }) => uri.scheme === 'file')
    .map(({ uri }) => uri.fsPath);
}

/** Offers `trainstash` in terminals, after an installed one on the PATH. */
function offerCommandLine({ environmentVariableCollection: variables }: vscode.ExtensionContext, dist: string): void {
  variables.persistent = false;
  variables.description = 'The command `trainstash`.';
  variables.append('PATH', `${delimiter}${join(dist, 'bin')}`);
  variables.replace('TRAINSTASH_EDITOR_NODE', process.execPath);
}
