/** Services and helpers that commands and views share. */
import * as vscode from 'vscode';
import { withSourceLines } from '../../base/source-lines.ts';
import type { Connection } from '../../pages/connection.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import type { FirstSteps } from './first-steps.ts';
import type { Model } from './model.ts';
import { plain } from './text.ts';

export interface App {
  connection: Connection;
  model: Model;
  log: vscode.LogOutputChannel;
  firstSteps: FirstSteps;
  /** Folder of the build that is part of the extension. */
  dist: string;
  /**
   * Returns the root of the project for a command without a target; asks if there are several. Undefined: cancelled, or there is
   * none, which is shown with what can be done.
   */
  chooseRoot(): Promise<string | undefined>;
}

/** Registers a command whose failures are shown to the user, with what can be done next. */
export function command(
  app: App,
  context: vscode.ExtensionContext,
  name: string,
  run: (...args: never[]) => unknown,
): void {
  const safely = async (...args: unknown[]): Promise<unknown> => {
    try {
      return await run(...(args as never[]));
    } catch (error) {
      if (!isError(error, 'storeElsewhere')) await report(app, error);
      else if (await acceptStore(app, error)) return safely(...args);
      return undefined;
    }
  };
  context.subscriptions.push(vscode.commands.registerCommand(`trainstash.${name}`, safely));
}

/** Table of commands: names without `trainstash.`, and what each does with the node that it was called on. */
export type Commands = Record<string, (app: App, ...args: never[]) => unknown>;

export function registerCommands(app: App, context: vscode.ExtensionContext, table: Commands): void {
  for (const [name, run] of Object.entries(table)) command(app, context, name, (...args) => run(app, ...args));
}

export async function report(app: App, error: unknown): Promise<void> {
  app.log.error(withSourceLines(error instanceof Error ? (error.stack ?? error.message) : String(error)));
  if (!(error instanceof TrainstashError) || error.code === 'internal') {
    const text = `An unexpected error occurred: ${plain((error as Error).message)}. Checkpoints are not affected.`;
    if (await vscode.window.showErrorMessage(text, 'Show Log')) app.log.show();
    return;
  }
  const actions: Record<string, () => unknown> = {};
  if (isError(error, 'daemonUnavailable')) {
    actions['Start the Daemon'] = () => vscode.commands.executeCommand('trainstash.startDaemon');
    actions['Show Log'] = () => vscode.commands.executeCommand('trainstash.daemonLog');
  }
  if (isError(error, 'untrusted'))
    actions['Manage Trust'] = () => vscode.commands.executeCommand('workbench.trust.manage');
  if (isError(error, 'storeElsewhere')) actions['Use This Store…'] = () => acceptStore(app, error);
  if (isError(error, 'configInvalid')) actions.Open = () => openAt(error.data.file, error.data.line, error.data.column);
  if (isError(error, 'moduleInvalid')) actions.Open = () => openAt(error.data.file, error.data.line);
  // Loaded with the first error, not with the extension.
  const { explanationOf } = await import('../../client/explanations.ts');
  const explained = explanationOf(app.dist, error.code);
  if (explained) {
    const page = vscode.Uri.file(explained.page).with({ fragment: error.code.toLowerCase() });
    actions.Explain = () => vscode.commands.executeCommand('markdown.showPreview', page);
  }
  const chosen = await vscode.window.showErrorMessage(plain(error.message), ...Object.keys(actions));
  if (chosen) await actions[chosen]!();
}

/** Asks, once per store, whether to use one that was made elsewhere. Returns true if it may be used from now on. */
async function acceptStore({ connection }: App, { data }: TrainstashError<'storeElsewhere'>): Promise<boolean> {
  const detail = `${data.store} was made by another user, on another machine, or is a copy. Using it runs the commands in it when a run is resumed, and writes its files to the paths in it. You can view it without accepting.`;
  const options = { modal: true, detail };
  const yes = 'Use This Store';
  const chosen = await vscode.window.showWarningMessage(
    'This store was made elsewhere. Do you know where it comes from?',
    options,
    yes,
  );
  if (chosen !== yes) return false;
  await connection.request(projectOpen, { root: data.root, trusted: vscode.workspace.isTrusted, acceptStore: true });
  await vscode.commands.executeCommand('trainstash.refresh');
  return true;
}

/** Opens a file at a position. `line` and `column` count from 1. */
export async function openAt(file: string, line = 1, column = 1): Promise<void> {
  const at = new vscode.Position(Math.max(0, line - 1), Math.max(0, column - 1));
  await vscode.window.showTextDocument(vscode.Uri.file(file), { selection: new vscode.Range(at, at) });
}

interface LaunchedFrom {
  environment: Record<string, string>;
  interpreter: string | undefined;
  backendSetting: string | undefined;
}

/** Returns what this window gives a training: its environment, the folder's selected Python, and the backend setting. */
export async function launchFrom(root: string): Promise<LaunchedFrom> {
  const settings = vscode.workspace.getConfiguration('trainstash', vscode.Uri.file(root));
  return {
    environment: environment(),
    interpreter: await selectedPython(root).catch(() => undefined),
    backendSetting: settings.get<string>('backend'),
  };
}

interface PythonApi {
  environments?: { getActiveEnvironmentPath(resource: vscode.Uri): { path: string } };
}

/** Returns the selected interpreter. Undefined without the Python extension: the project's `.venv` and PATH decide then. */
async function selectedPython(root: string): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>('ms-python.python');
  if (!extension) return undefined;
  const api = extension.isActive ? extension.exports : await extension.activate();
  const path = api.environments?.getActiveEnvironmentPath(vscode.Uri.file(root)).path;
  // The path may be a name such as `python`, which says nothing, or the folder of an environment.
  return path && /[/\\]/.test(path) ? path : undefined;
}

/** Returns the environment for a training started from this window. The daemon removes VS Code's own variables. */
export function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
