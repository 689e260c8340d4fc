/** Commands that start runs, from jobs and from files. */
import { relative } from 'node:path';
import * as vscode from 'vscode';
import { projectInit, projectJobs } from '../../protocol/messages/project.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { type App, type Commands, launchFrom } from '../core/app.ts';
import { plain } from '../core/text.ts';
import { type JobNode, jobsOf } from '../views/jobs.ts';
import { showLog } from '../views/log-terminal.ts';
import { parseParams, withProgress } from './input.ts';

export const startCommands = { run, runWith, showJob, runFile } satisfies Commands;

async function run(app: App, node?: JobNode): Promise<void> {
  const chosen = await jobTarget(app, node);
  if (!chosen) return;
  const run = await withProgress(`Starting ${chosen.job.name}`, async () =>
    app.connection.request(runStart, {
      root: chosen.root,
      job: chosen.job.name,
      params: {},
      ...(await launchFrom(chosen.root)),
    }),
  );
  showLog(app.connection, chosen.root, run);
}

async function runWith(app: App, node?: JobNode): Promise<void> {
  const chosen = await jobTarget(app, node);
  if (!chosen) return;
  const { root, job } = chosen;
  const given = Object.entries(job.params).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const text = await vscode.window.showInputBox({
    title: `Run ${plain(job.name)} with other params`,
    prompt: 'key=value pairs separated by spaces; all other params stay as in trainstash.json',
    placeHolder: plain(given.join(' ')) || 'learningRate=0.0003',
    validateInput: (value) => parseParams(value).problem,
  });
  if (text === undefined) return;
  const { params } = parseParams(text);
  const run = await withProgress(`Starting ${job.name}`, async () =>
    app.connection.request(runStart, { root, job: job.name, params, ...(await launchFrom(root)) }),
  );
  showLog(app.connection, root, run);
}

async function showJob(app: App, { root, job }: JobNode): Promise<void> {
  const { config } = await app.connection.request(projectInit, { root });
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(config));
  const at = document.getText().indexOf(`${JSON.stringify(job.name)}`);
  const place = document.positionAt(Math.max(0, at));
  await vscode.window.showTextDocument(document, { selection: new vscode.Range(place, place) });
}

async function runFile(app: App, file?: vscode.Uri): Promise<void> {
  const target = await fileTarget(app, file);
  if (!target) return;
  const run = await withProgress(`Starting ${target.command[1]}`, async () =>
    app.connection.request(runStart, { ...target, ...(await launchFrom(target.cwd)) }),
  );
  showLog(app.connection, target.root, run);
}

/** Asks for a job. Undefined: cancelled, or there is none, which is shown. */
export async function jobTarget(app: App, node?: JobNode): Promise<JobNode | undefined> {
  if (node?.job) return node;
  const root = await app.chooseRoot();
  if (!root) return undefined;
  const jobs = await jobsOf((params) => app.connection.request(projectJobs, params), root);
  if (jobs.length === 0) {
    // Throws the mistake in trainstash.json, if there is one.
    await app.connection.request(projectJobs, { root });
    void vscode.window.showInformationMessage('trainstash.json has no jobs yet.', 'Open It').then((open) => {
      if (open) void vscode.commands.executeCommand('trainstash.openConfig');
    });
    return undefined;
  }
  if (jobs.length === 1) return jobs[0];
  const items = jobs.map((node) => ({ label: plain(node.job.name), description: plain(node.job.what), node }));
  return (await vscode.window.showQuickPick(items, { title: 'Trainstash: Run a Job' }))?.node;
}

/** Returns the command that a terminal in the script's folder would run. Undefined: the script is in no open folder. */
export async function fileTarget(app: App, file: vscode.Uri | undefined) {
  const uri = file ?? (await scriptTarget());
  if (!uri) return undefined;
  const cwd = vscode.workspace.getWorkspaceFolder(uri)?.uri.fsPath;
  if (!cwd) {
    void vscode.window.showInformationMessage('The script is not in an open folder. Open its folder first.');
    return undefined;
  }
  await vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString())?.save();
  const { project } = await app.model.open(cwd, vscode.workspace.isTrusted, true);
  const words = ['python', relative(cwd, uri.fsPath)];
  return { root: project.root, job: 'command', command: words, cwd, params: {} };
}

const NOT_OURS = '**/{node_modules,site-packages,.venv,venv,.git,.trainstash}/**';
const MAX_SCRIPTS = 200;

/**
 * Returns the script in front, or else the one in a tab, or one that is chosen from the folder: a page may be in front of it.
 * Undefined: cancelled, or there is none, which is shown.
 */
async function scriptTarget(): Promise<vscode.Uri | undefined> {
  const front = vscode.window.activeTextEditor?.document;
  if (front?.languageId === 'python') return front.uri;
  const inTabs = vscode.window.tabGroups.all
    .flatMap(({ tabs }) => tabs.map(({ input }) => input))
    .flatMap((input) => (input instanceof vscode.TabInputText && input.uri.path.endsWith('.py') ? [input.uri] : []));
  const open = [...new Map(inTabs.map((uri) => [uri.toString(), uri])).values()];
  if (open.length === 1) return open[0];
  const found = open.length > 0 ? open : await vscode.workspace.findFiles('**/*.py', NOT_OURS, MAX_SCRIPTS);
  if (found.length === 0) {
    const hasFolder = (vscode.workspace.workspaceFolders ?? []).length > 0;
    const text = hasFolder ? 'This folder has no Python script.' : 'No folder is open.';
    const open = hasFolder ? [] : ['Open Folder'];
    const chosen = await vscode.window.showInformationMessage(text, ...open, 'Train the Example');
    if (chosen)
      await vscode.commands.executeCommand(open.includes(chosen) ? 'vscode.openFolder' : 'trainstash.example');
    return undefined;
  }
  const items = found.map((uri) => ({ label: plain(vscode.workspace.asRelativePath(uri)), uri }));
  items.sort((a, b) => a.label.localeCompare(b.label));
  const options = { title: 'Run a Script', placeHolder: 'Which script trains?' };
  return (await vscode.window.showQuickPick(items, options))?.uri;
}
