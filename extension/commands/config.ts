/** Commands that write trainstash.json. */
import * as vscode from 'vscode';
import { jobKeep, projectInit } from '../../protocol/messages/project.ts';
import { type App, type Commands, openAt } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { runTarget } from './targets.ts';

export const configCommands = { init, keepAsJob, openConfig } satisfies Commands;

async function init(app: App): Promise<void> {
  const folder = await chooseFolder();
  if (!folder) return;
  await app.model.open(folder, vscode.workspace.isTrusted, true);
  const { config } = await app.connection.request(projectInit, { root: folder });
  await openAt(config);
}

async function keepAsJob(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'keep as a job', ({ command }) => command !== null);
  if (!target) return;
  const { root, run } = target;
  const name = await vscode.window.showInputBox({
    title: `Keep the command of ${plain(run.name)} as a job`,
    prompt: plain(run.command!.words.join(' ')),
    value: run.job,
  });
  if (!name) return;
  const { config } = await app.connection.request(jobKeep, { root, run: run.id, name });
  app.firstSteps.mark('job');
  await openAt(config);
}

async function openConfig(app: App): Promise<void> {
  const root = await app.chooseRoot();
  if (!root) return;
  const { config } = await app.connection.request(projectInit, { root });
  await openAt(config);
}

async function chooseFolder(): Promise<string | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  if (folders.length <= 1) return folders[0]?.uri.fsPath;
  return (await vscode.window.showWorkspaceFolderPick())?.uri.fsPath;
}
