/** Entry of the extension. Composes; everything else is in its own file. */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { BUILD } from '../client/build.ts';
import { statePaths } from '../client/paths.ts';
import { isError } from '../protocol/errors.ts';
import { branchFollow } from '../protocol/messages.ts';
import { AgentServers } from './agents.ts';
import { type App, command, report } from './app.ts';
import { CodeFiles } from './code-files.ts';
import { registerBranches } from './commands/branches.ts';
import { registerComparing } from './commands/comparing.ts';
import { registerExporting } from './commands/exporting.ts';
import { registerKeeping } from './commands/keeping.ts';
import { registerLife } from './commands/life.ts';
import { isLive } from './commands/targets.ts';
import { Connection } from './connection.ts';
import { ConfigDiagnostics } from './diagnostics.ts';
import { isInUse } from './folders.ts';
import { JobTasks } from './job-tasks.ts';
import { Model } from './model.ts';
import { Notices } from './notices.ts';
import { registerCheckpointFiles } from './panels/checkpoint-file.ts';
import { Dashboards } from './panels/dashboard.ts';
import { registerDiffPage } from './panels/diff.ts';
import { Tasks } from './task.ts';
import { Usage } from './usage.ts';
import { JobsTree } from './views/jobs.ts';
import { type Node, RunsTree } from './views/runs.ts';
import { ScriptLens } from './views/script-lens.ts';
import { StashesTree } from './views/stashes.ts';
import { StatusBar } from './views/status-bar.ts';

/** After these the list of stashes is another one. */
const STASH_NOTICES = { switched: 1, vanished: 1, stashOffered: 1 };

type State = 'noFolder' | 'unused' | 'failed' | 'loading' | 'ready';

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel('Trainstash', { log: true });
  const connection = new Connection({
    log: (text) => log.info(text),
    async connect(start) {
      // Half of what loading the extension takes: not while the window starts.
      const { connect } = await import('../client/connect.ts');
      return connect({
        name: 'editor',
        build: BUILD,
        dist: start ? join(context.extensionPath, 'dist') : null,
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
      // Its title says where a run stands, not each of its steps.
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
  const app: App = { connection, model, tasks: new Tasks(connection), log, chooseRoot };
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

  registerLife(app, context);
  registerKeeping(app, context, status);
  registerExporting(app, context);
  registerComparing(app, context);
  registerDiffPage(app, context);
  registerCheckpointFiles(app, context);
  const diagnostics = new ConfigDiagnostics(connection);
  context.subscriptions.push(diagnostics);
  JobTasks.register(app, context);
  const agents = AgentServers.register(context, model);
  const dashboards = new Dashboards(app, context);
  command(app, context, 'dashboard', async (node?: Node) => {
    const root = node?.root ?? (await app.chooseRoot());
    if (root) dashboards.show(root);
  });
  context.subscriptions.push(CodeFiles.register(connection));
  registerBranches(app, context, () => stashes.redraw());
  command(app, context, 'refresh', openFolders);
  command(app, context, 'startDaemon', () => openFolders(true));
  command(app, context, 'daemonLog', () => vscode.window.showTextDocument(vscode.Uri.file(statePaths().log)));
  command(app, context, 'showRuns', () => vscode.commands.executeCommand('trainstash.runs.focus'));
  command(app, context, 'more', async (node: Node) => {
    if (node.kind === 'more') await model.loadMore(node.root, node.branch);
  });
  command(app, context, 'filter', async () => {
    const text = await vscode.window.showInputBox({
      title: 'Filter runs',
      prompt: 'Words, or comparisons: lr>0.001 status=failed',
      value: tree.filter,
    });
    if (text !== undefined) filter(text);
  });
  command(app, context, 'clearFilter', () => filter(''));
  command(app, context, 'reveal', async (node: Node) => {
    if (node.kind !== 'run') return;
    await runs.reveal(tree.nodeOfRun(node.root, node.id), { select: true, focus: true, expand: true });
  });
  command(app, context, 'fromStatus', async () => {
    const { shown } = status;
    const root = shown && notices.rootOf(shown.run);
    if (!root) return;
    status.looked(shown.run.id);
    const node: Node = tree.nodeOfRun(root, shown.run.id);
    if (shown.click === 'resume') await vscode.commands.executeCommand('trainstash.resume', node);
    else if (shown.click === 'log') await vscode.commands.executeCommand('trainstash.log', node);
    else await runs.reveal(node, { select: true, focus: true, expand: true });
  });

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
      diagnostics.lookAgain();
      // Also after the daemon was killed: everything is asked for again.
      openFolders().catch((error) => report(app, error));
    } else drawAll();
  });
  drawAll();
  void lookForProjects();

  /** At the start: a daemon is started only for a folder that has something to show. */
  async function lookForProjects(): Promise<void> {
    const used = await Promise.all(folders().map(isInUse));
    try {
      if (used.some(Boolean)) await connection.connect(true);
    } catch (error) {
      // The view says it, with the reason and a button.
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
        roots.add((await model.open(folder, vscode.workspace.isTrusted)).project.root);
      } catch (error) {
        if (!isError(error, 'notFound')) await report(app, error);
      }
    }
    for (const { project } of model.projects) if (!roots.has(project.root)) model.forget(project.root);
    jobs.redraw();
    stashes.redraw();
    drawAll();
  }

  async function chooseRoot(): Promise<string | undefined> {
    const roots = model.projects.map(({ project }) => project.root);
    const active = vscode.window.activeTextEditor?.document.uri.fsPath;
    const inside = roots.filter((root) => active?.startsWith(root)).sort((a, b) => b.length - a.length)[0];
    if (inside || roots.length <= 1) return inside ?? roots[0];
    return vscode.window.showQuickPick(roots, { title: 'Trainstash: which project?' });
  }

  function filter(text: string): void {
    tree.filter = text;
    void vscode.commands.executeCommand('setContext', 'trainstash.filtered', tree.filter !== '');
    drawAll();
  }

  function drawAll(): void {
    agents.look();
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
    // With rows in the view its welcome is not shown: the message says what is wrong.
    const filtered = tree.filter === '' ? undefined : `Only what fits “${tree.filter}”`;
    runs.message = now.kind === 'failed' && model.projects.length > 0 ? now.error.message.split('\n')[0] : filtered;
    tree.redraw();
    lenses.redraw();
    status.redraw();
    drawBadge();
  }

  function drawBadge(): void {
    const count = model.projects.flatMap((mirror) => mirror.liveRuns()).filter(isLive).length;
    runs.badge = count > 0 ? { value: count, tooltip: count === 1 ? '1 live run' : `${count} live runs` } : undefined;
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

/** Everything is disposed of with the context; trainings and the daemon go on. */
export function deactivate(): void {}

function folders(): string[] {
  return (vscode.workspace.workspaceFolders ?? [])
    .filter(({ uri }) => uri.scheme === 'file')
    .map(({ uri }) => uri.fsPath);
}
