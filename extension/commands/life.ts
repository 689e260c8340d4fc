/** Commands that start, resume and end runs. */
import { relative } from 'node:path';
import * as vscode from 'vscode';
import type { Params, Run } from '../../protocol/domain.ts';
import { isError, type PreflightDifference } from '../../protocol/errors.ts';
import * as m from '../../protocol/messages.ts';
import { counted, duration, integer } from '../../protocol/words.ts';
import { type App, command, launchFrom } from '../app.ts';
import { plain } from '../text.ts';
import { type JobNode, jobsOf } from '../views/jobs.ts';
import { showLog } from '../views/log-terminal.ts';
import type { Node } from '../views/runs.ts';
import { checkpointTarget, isLive, isResumable, isRunning, runTarget } from './targets.ts';

export function registerLife(app: App, context: vscode.ExtensionContext): void {
  const { connection } = app;
  const on = (name: string, run: (...args: never[]) => unknown) => command(app, context, name, run);

  on('run', async (node?: JobNode) => {
    const chosen = await jobTarget(app, node);
    if (!chosen) return;
    const run = await withProgress(`Starting ${chosen.job.name}`, async () =>
      connection.request(m.runStart, {
        root: chosen.root,
        job: chosen.job.name,
        params: {},
        ...(await launchFrom(chosen.root)),
      }),
    );
    showLog(connection, chosen.root, run);
  });

  on('runWith', async (node?: JobNode) => {
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
      connection.request(m.runStart, { root, job: job.name, params, ...(await launchFrom(root)) }),
    );
    showLog(connection, root, run);
  });

  on('showJob', async ({ root, job }: JobNode) => {
    const { config } = await connection.request(m.projectInit, { root });
    const document = await vscode.workspace.openTextDocument(vscode.Uri.file(config));
    const at = document.getText().indexOf(`${JSON.stringify(job.name)}`);
    const place = document.positionAt(Math.max(0, at));
    await vscode.window.showTextDocument(document, { selection: new vscode.Range(place, place) });
  });

  on('runFile', async (file?: vscode.Uri) => {
    const target = await fileTarget(app, file);
    if (!target) return;
    const run = await withProgress(`Starting ${target.command[1]}`, async () =>
      connection.request(m.runStart, { ...target, ...(await launchFrom(target.cwd)) }),
    );
    showLog(connection, target.root, run);
  });

  on('resume', async (node?: Node) => {
    const target = await runTarget(app, node, 'resume', isResumable);
    if (target) await resume(app, 'resume', target.root, target.run);
  });

  on('resumeLast', async () => {
    const root = await app.chooseRoot();
    if (!root) return;
    const run = app.model.project(root)?.resumable();
    if (!run) {
      void vscode.window.showInformationMessage('This branch has no paused, failed or lost run.');
      return;
    }
    await resume(app, 'resume', root, run);
  });

  on('resumeFrom', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'resume from');
    if (target) await resume(app, 'resume', target.root, target.run, { from: target.checkpoint.id });
  });

  on('fork', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'fork from');
    if (!target) return;
    const text = await vscode.window.showInputBox({
      title: `Fork ${plain(target.run.name)} at step ${integer(target.checkpoint.step)}`,
      prompt: 'Params to change, as key=value pairs separated by spaces; may be empty',
      placeHolder: 'learningRate=0.0003',
      validateInput: (value) => parseParams(value).problem,
    });
    if (text === undefined) return;
    const { params: set } = parseParams(text);
    await resume(app, 'fork', target.root, target.run, { from: target.checkpoint.id, set });
  });

  on('pause', async (node?: Node) => {
    const target = await runTarget(app, node, 'pause', isRunning);
    if (!target) return;
    const pause = (accept: boolean) =>
      connection.request(m.runPause, { root: target.root, run: target.run.id, accept });
    try {
      await pause(false);
    } catch (error) {
      if (!isError(error, 'pauseLoses')) throw error;
      const { checkpointStep, seconds } = error.data;
      const saved = checkpointStep === null ? 'has saved nothing yet' : `last saved at step ${integer(checkpointStep)}`;
      const detail = `Its script saves on its own schedule only, and ${saved}. Stopping it now loses the ${duration(seconds)} since then.`;
      const options = { modal: true, detail };
      const chosen = await vscode.window.showWarningMessage(`Stop ${plain(target.run.name)} now?`, options, 'Stop Now');
      if (chosen) await pause(true);
    }
  });

  on('stop', async (node?: Node) => {
    const target = await runTarget(app, node, 'stop', isLive);
    if (target) await connection.request(m.runStop, { root: target.root, run: target.run.id });
  });

  on('checkpoint', async (node?: Node) => {
    const target = await runTarget(app, node, 'take a checkpoint of', isRunning);
    if (!target) return;
    const checkpoint = await withProgress(`Checkpoint of ${target.run.name}`, () =>
      connection.request(m.runCheckpoint, { root: target.root, run: target.run.id }),
    );
    vscode.window.setStatusBarMessage(`$(save) Checkpoint at step ${integer(checkpoint.step)}`, 4_000);
  });
}

/** Asks for a job. Undefined: cancelled, or there is none, which is shown. */
export async function jobTarget(app: App, node?: JobNode): Promise<JobNode | undefined> {
  if (node?.job) return node;
  const root = await app.chooseRoot();
  if (!root) return undefined;
  const jobs = await jobsOf((params) => app.connection.request(m.projectJobs, params), root);
  if (jobs.length === 0) {
    // Throws the mistake in trainstash.json, if there is one.
    await app.connection.request(m.projectJobs, { root });
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
  const uri = file ?? vscode.window.activeTextEditor?.document.uri;
  const cwd = uri && vscode.workspace.getWorkspaceFolder(uri)?.uri.fsPath;
  if (!cwd) {
    void vscode.window.showInformationMessage('The script is not in an open folder. Open its folder first.');
    return undefined;
  }
  await vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString())?.save();
  const { project } = await app.model.open(cwd, vscode.workspace.isTrusted, true);
  const words = ['python', relative(cwd, uri.fsPath)];
  return { root: project.root, job: 'command', command: words, cwd, params: {} };
}

export interface ResumeOptions {
  from?: string;
  set?: Params;
  debugger?: string[];
  /** Replaces this window's environment. */
  environment?: Record<string, string>;
  interpreter?: string | undefined;
}

/** Resumes or forks at once if nothing differs from the checkpoint, else shows the differences. Undefined: not accepted. */
export async function resume(
  app: App,
  verb: 'resume' | 'fork',
  root: string,
  run: Run,
  options: ResumeOptions = {},
): Promise<Run | undefined> {
  const message = verb === 'resume' ? m.runResume : m.runFork;
  const params = { root, run: run.id, set: {}, ...(await launchFrom(root)), ...options };
  const launch = (more: { accept: boolean; current?: string[]; backend?: string }) =>
    withProgress(`${verb === 'resume' ? 'Resuming' : 'Forking'} ${run.name}`, () =>
      app.connection.request(message, { ...params, ...more }),
    );
  const attempt = async (backend: { backend?: string }) => {
    try {
      return await launch({ accept: false, ...backend });
    } catch (error) {
      if (!isError(error, 'preflightDiffers')) throw error;
      const decision = await decide(run, error.data.differences);
      return decision && (await launch({ ...decision, ...backend }));
    }
  };
  try {
    return await attempt({});
  } catch (error) {
    if (!isError(error, 'backendUnavailable')) throw error;
    const another = 'Continue on Another Backend';
    const chosen = await vscode.window.showWarningMessage(plain(error.message), another);
    return chosen === another ? attempt({ backend: 'auto' }) : undefined;
  }
}

async function decide(
  run: Run,
  differences: readonly PreflightDifference[],
): Promise<{ accept: true; current: string[] } | undefined> {
  const params = differences.filter(({ kind }) => kind === 'param');
  type Item = vscode.QuickPickItem & { param?: string };
  const items: Item[] = differences.map((difference) => ({
    label: `${difference.kind}${difference.name ? `: ${plain(difference.name)}` : ''}`,
    detail: `checkpoint ${plain(difference.checkpoint) || '–'}  →  now ${plain(difference.current) || '–'}`,
    param: difference.kind === 'param' ? difference.name : undefined,
  }));
  const go: Item = {
    label: '$(debug-continue) Resume Anyway',
    description: params.length > 0 ? 'with the params of the checkpoint' : 'with the current state',
  };
  const current: Item[] =
    params.length > 0
      ? [
          {
            label: '$(symbol-parameter) Resume with today’s params',
            description: plain(params.map((p) => p.name).join(', ')),
          },
        ]
      : [];
  const each: Item[] =
    params.length > 1
      ? [{ label: '$(checklist) Choose for each param…', description: 'the checkpoint’s or today’s' }]
      : [];
  const heading: Item = { label: 'What differs', kind: vscode.QuickPickItemKind.Separator };
  const chosen = await vscode.window.showQuickPick([go, ...current, ...each, heading, ...items], {
    title: `${plain(run.name)}: ${counted(differences.length, 'thing differs', 'things differ')} from the checkpoint`,
    placeHolder: 'It continues from the checkpoint, but bit for bit only if nothing differs',
    matchOnDetail: true,
  });
  if (chosen === go) return { accept: true, current: [] };
  if (chosen && current.includes(chosen)) return { accept: true, current: params.map(({ name }) => name) };
  if (chosen && each.includes(chosen)) {
    const choices = params.map(({ name, checkpoint, current: now }) => ({
      label: plain(name),
      description: `${plain(now) || '–'} instead of the checkpoint’s ${plain(checkpoint) || '–'}`,
      name,
    }));
    const todays = await vscode.window.showQuickPick(choices, {
      title: `${plain(run.name)}: which params are to be today’s?`,
      placeHolder: 'Those that are not chosen stay as the checkpoint has them',
      canPickMany: true,
    });
    return todays && { accept: true, current: todays.map(({ name }) => name) };
  }
  // A row of what differs is there to be read.
  return undefined;
}

function parseParams(text: string): { params: Params; problem: string | null } {
  const params: Params = {};
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const at = word.indexOf('=');
    if (at < 1) return { params, problem: `"${word}" is not key=value` };
    const value = word.slice(at + 1);
    try {
      params[word.slice(0, at)] = JSON.parse(value);
    } catch {
      params[word.slice(0, at)] = value;
    }
  }
  return { params, problem: null };
}

function withProgress<T>(title: string, work: () => Promise<T>): Promise<T> {
  return Promise.resolve(
    vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: plain(title) }, work),
  );
}
