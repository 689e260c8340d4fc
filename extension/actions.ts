/** Registers all actions: commands, pages, tasks, and what agents and other parts of the editor may ask for. */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { statePaths } from '../base/paths.ts';
import { AgentServers } from './agents.ts';
import { registerBranches } from './commands/branches.ts';
import { checkpointCommands } from './commands/checkpoints.ts';
import { clusterCommands } from './commands/clusters.ts';
import { registerComparing } from './commands/comparing.ts';
import { configCommands } from './commands/config.ts';
import { registerDebugging } from './commands/debugging.ts';
import { type Example, registerExample } from './commands/example.ts';
import { registerExporting } from './commands/exporting.ts';
import { noteCommands } from './commands/notes.ts';
import { remoteCommands } from './commands/remotes.ts';
import { removalCommands } from './commands/removal.ts';
import { runCommands } from './commands/resuming.ts';
import { startCommands } from './commands/starting.ts';
import { sweepCommands } from './commands/sweeps.ts';
import { runTarget } from './commands/targets.ts';
import { urgentCommands } from './commands/urgent.ts';
import { type App, command, registerCommands } from './core/app.ts';
import { ClustersModel } from './core/clusters-model.ts';
import { CodeFiles } from './core/code-files.ts';
import { RemotesModel } from './core/remotes-model.ts';
import { JobTasks } from './job-tasks.ts';
import { registerCheckpointFiles } from './panels/checkpoint-file.ts';
import { Dashboards } from './panels/dashboard.ts';
import { registerDiffPage } from './panels/diff.ts';
import { RunPages } from './panels/run-page.ts';
import { type ClustersTree, registerClusters } from './views/clusters.ts';
import { showLog } from './views/log-terminal.ts';
import { registerRemoteViews } from './views/remotes.ts';
import type { Node, RunsTree } from './views/runs.ts';
import type { StashesTree } from './views/stashes.ts';
import type { StatusBar } from './views/status-bar.ts';

export interface Parts {
  runs: vscode.TreeView<Node>;
  tree: RunsTree;
  stashes: StashesTree;
  status: StatusBar;
  /** Opens this window's folders at the daemon, and starts it if one of them uses Trainstash, or if `always`. */
  openFolders(always?: boolean): Promise<void>;
  example: Example;
  redraw(): void;
}

const COMMANDS = [
  clusterCommands,
  remoteCommands,
  startCommands,
  urgentCommands,
  runCommands,
  noteCommands,
  checkpointCommands,
  removalCommands,
  configCommands,
  sweepCommands,
];

export class Actions {
  readonly #agents: AgentServers;
  readonly #remotes: RemotesModel;
  readonly #clusters: ClustersModel;
  readonly #clustersTree: ClustersTree;
  readonly #roots: () => string[];
  #projects = '';

  constructor(app: App, context: vscode.ExtensionContext, parts: Parts) {
    for (const table of COMMANDS) registerCommands(app, context, table);
    registerDebugging(app, context);
    command(app, context, 'log', async (node?: Node) => {
      const target = await runTarget(app, node, 'show the log of');
      if (!target) return;
      parts.status.markSeen(target.run.id);
      showLog(app.connection, target.root, target.run);
    });
    registerExample(app, context, parts.example);
    registerExporting(app, context);
    registerComparing(app, context);
    registerBranches(app, context, () => parts.stashes.redraw());
    registerViews(app, context, parts);
    this.#roots = () => app.model.projects.map(({ project }) => project.root);
    this.#remotes = new RemotesModel(app.connection, () => app.model.projects.map(({ project }) => project));
    registerRemoteViews(context, this.#remotes);
    command(app, context, 'remoteRefresh', () => this.#remotes.look());
    this.#clusters = new ClustersModel(app.connection, this.#roots);
    this.#clustersTree = registerClusters(context, this.#clusters, app.model);
    command(app, context, 'clusterRefresh', () => this.#clusters.look());
    registerDiffPage(app, context);
    registerCheckpointFiles(app, context);
    JobTasks.register(app, context);
    this.#agents = AgentServers.register(context, app.model);
    context.subscriptions.push(CodeFiles.register(app.connection));
  }

  projectsChanged(): void {
    this.#agents.look();
    // Everything that is drawn comes here; only other projects have other remotes.
    const projects = this.#roots().join('\0');
    if (projects !== this.#projects) {
      this.#remotes.look();
      this.#clusters.look();
    }
    // Its rows of runs are the model's.
    this.#clustersTree.redraw();
    this.#projects = projects;
  }
}

/** Registers commands for the views, their rows, and the daemon behind them. */
function registerViews(app: App, context: vscode.ExtensionContext, parts: Parts): void {
  const { runs, tree, status, openFolders } = parts;
  const dashboards = new Dashboards(app, context);
  const pages = new RunPages(app, context);
  const on = (name: string, run: (...args: never[]) => unknown) => command(app, context, name, run);
  const reveal = (node: Node) => runs.reveal(node, { select: true, focus: true, expand: true });
  const filter = (text: string) => {
    tree.filter = text;
    void vscode.commands.executeCommand('setContext', 'trainstash.filtered', tree.filter !== '');
    parts.redraw();
  };

  on('dashboard', async (node?: Node) => {
    const root = node?.root ?? (await app.chooseRoot());
    if (root) dashboards.show(root);
  });
  on('openRun', async (node?: Node, clicked?: boolean) => {
    const target = await runTarget(app, node, 'open');
    if (!target) return;
    status.markSeen(target.run.id);
    pages.show(target.root, target.run.id, clicked === true);
  });
  on('refresh', () => openFolders());
  on('startDaemon', () => openFolders(true));
  on('daemonLog', () => vscode.window.showTextDocument(vscode.Uri.file(statePaths().log)));
  on('setUpGpu', async () => {
    const root = await app.chooseRoot();
    const backend = root && (await chooseBackend());
    if (backend) await setUpGpu(app.dist, root, backend);
  });
  on('firstSteps', () =>
    vscode.commands.executeCommand('workbench.action.openWalkthrough', `${context.extension.id}#first`),
  );
  on('showRuns', () => vscode.commands.executeCommand('trainstash.runs.focus'));
  on('more', async (node: Node) => {
    if (node.kind === 'more') await tree.showMore(node.root, node.branch);
  });
  on('filter', async () => {
    const text = await vscode.window.showInputBox({
      title: 'Filter runs',
      prompt: 'Words, or comparisons: lr>0.001 status=failed',
      value: tree.filter,
    });
    if (text !== undefined) filter(text);
  });
  on('clearFilter', () => filter(''));
  on('reveal', async (node: Node) => {
    if (node.kind === 'run') await reveal(tree.nodeOfRun(node.root, node.id));
  });
  // Keys act on the selected rows, as menus do.
  on('renameSelected', () => vscode.commands.executeCommand('trainstash.rename', runs.selection[0]));
  on('deleteSelected', async () => {
    const rows = runs.selection.filter(({ kind }) => kind === 'run' || kind === 'checkpoint');
    if (rows.length > 0) await vscode.commands.executeCommand('trainstash.delete', rows[0], rows);
  });
  on('fromStatus', async () => {
    const { shown } = status;
    const root = shown && app.model.rootOf(shown.run.id);
    if (!root) return;
    status.markSeen(shown.run.id);
    const node = tree.nodeOfRun(root, shown.run.id);
    if (shown.click === 'show') await reveal(node);
    else await vscode.commands.executeCommand(`trainstash.${shown.click}`, node);
  });
}

/** Only Linux has a choice: the binding to TensorFlow is built for no other system. */
async function chooseBackend(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'webgpu';
  const picked = await vscode.window.showQuickPick(
    [
      { label: 'WebGPU', detail: 'GPUs of any vendor, by their Vulkan driver; 130 MB from npm', backend: 'webgpu' },
      {
        label: 'TensorFlow',
        detail: 'NVIDIA GPUs, by CUDA; the one of your Python, or from PyPI',
        backend: 'tensorflow',
      },
    ],
    { title: 'Set Up GPU Backend', placeHolder: 'What TensorFlow.js trains on' },
  );
  return picked?.backend;
}

/** Installs the GPU backend in a terminal: it fetches a package for a minute, so the user can read along and stop it. */
async function setUpGpu(dist: string, root: string, backend: string): Promise<void> {
  const words = ['backend', 'install', backend];
  const run = new vscode.ProcessExecution(process.execPath, [join(dist, 'trainstash.js'), ...words], {
    cwd: root,
    env: { ELECTRON_RUN_AS_NODE: '1' },
  });
  const task = new vscode.Task(
    { type: 'trainstash', job: '' },
    vscode.TaskScope.Workspace,
    'Set Up GPU Backend',
    'Trainstash',
    run,
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, focus: true };
  await vscode.tasks.executeTask(task);
}
