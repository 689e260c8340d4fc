/** Commands that resume, fork, pause and end runs. */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { killRun, pauseRun } from '../../pages/run-flows.ts';
import type { Params, Run } from '../../protocol/domain.ts';
import { isError, type PreflightDifference } from '../../protocol/errors.ts';
import { runCheckpoint, runFork, runResume, runStop } from '../../protocol/messages/run.ts';
import { counted, integer } from '../../protocol/words.ts';
import { type App, type Commands, launchFrom } from '../core/app.ts';
import { editorAsks } from '../core/asks.ts';
import { codeUri } from '../core/code-files.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { parseParams, withProgress } from './input.ts';
import { checkpointTarget, isLive, isResumable, isRunning, runTarget } from './targets.ts';

export const runCommands = {
  resume: resumeChosen,
  resumeLast,
  resumeFrom,
  fork,
  pause,
  stop,
  kill,
  checkpoint,
} satisfies Commands;

async function resumeChosen(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'resume', isResumable);
  if (target) await resume(app, 'resume', target.root, target.run);
}

async function resumeLast(app: App): Promise<void> {
  const able = app.model.projects.filter((mirror) => mirror.resumable());
  const root = able.length === 1 ? able[0]!.project.root : await app.chooseRoot();
  if (!root) return;
  const run = app.model.project(root)?.resumable();
  if (!run) {
    void vscode.window.showInformationMessage('This branch has no run that ended early and has a checkpoint.');
    return;
  }
  await resume(app, 'resume', root, run);
}

async function resumeFrom(app: App, node?: Node): Promise<void> {
  const target = await checkpointTarget(app, node, 'resume from');
  if (target) await resume(app, 'resume', target.root, target.run, { from: target.checkpoint.id });
}

async function fork(app: App, node?: Node): Promise<void> {
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
}

async function pause(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'pause', isRunning);
  if (!target) return;
  await pauseRun(editorAsks, app.connection, target.root, target.run);
}

async function stop(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'stop', isLive);
  if (target) await app.connection.request(runStop, { root: target.root, run: target.run.id });
}

/** Ends a run's process at once, as a power cut would: to try a resume, or because it hangs. */
async function kill(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'kill', isRunning);
  if (!target) return;
  const { root } = target;
  const killed = await killRun(editorAsks, app.connection, root, target.run);
  if (killed) await resume(app, 'resume', root, killed);
}

async function checkpoint(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'take a checkpoint of', isRunning);
  if (!target) return;
  const checkpoint = await withProgress(`Checkpoint of ${target.run.name}`, () =>
    app.connection.request(runCheckpoint, { root: target.root, run: target.run.id }),
  );
  vscode.window.setStatusBarMessage(`$(save) Checkpoint at step ${integer(checkpoint.step)}`, 4_000);
}

export interface ResumeOptions {
  from?: string;
  set?: Params;
  debugger?: string[];
  /** Engine that it goes to, or `here`; absent: as before. */
  engine?: string;
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
  const message = verb === 'resume' ? runResume : runFork;
  const params = { root, run: run.id, set: {}, ...(await launchFrom(root)), ...options };
  const launch = (more: { accept: boolean; current?: string[]; code?: 'then'; backend?: string }) =>
    withProgress(`${verb === 'resume' ? 'Resuming' : 'Forking'} ${run.name}`, () =>
      app.connection.request(message, { ...params, ...more }),
    );
  const attempt = async (backend: { backend?: string }) => {
    try {
      return await launch({ accept: false, ...backend });
    } catch (error) {
      if (!isError(error, 'preflightDiffers')) throw error;
      const decision = await decide(root, run, error.data.differences, verb);
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

/** Shows what differs, until it is decided. A row of changed code opens the change beside the list. */
async function decide(
  root: string,
  run: Run,
  differences: readonly PreflightDifference[],
  verb: 'resume' | 'fork',
): Promise<{ accept: true; current: string[]; code?: 'then' } | undefined> {
  const params = differences.filter(({ kind }) => kind === 'param');
  type Item = vscode.QuickPickItem & { file?: string };
  const items: Item[] = differences.map(({ kind, name, checkpoint, current }) => {
    const file = kind === 'code' && name && run.code !== null ? name : undefined;
    return {
      label: `${kind}${name ? `: ${plain(name)}` : ''}`,
      detail: `checkpoint ${plain(checkpoint) || '–'}  →  now ${plain(current) || '–'}`,
      ...(file ? { file, description: '$(diff) show the change' } : {}),
    };
  });
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
  const then = codeOfThen(run, differences, verb);
  const heading: Item = { label: 'What differs', kind: vscode.QuickPickItemKind.Separator };
  let chosen: Item | undefined;
  do {
    chosen = await vscode.window.showQuickPick([go, ...then, ...current, ...each, heading, ...items], {
      title: `${plain(run.name)}: ${counted(differences.length, 'thing differs', 'things differ')} from the checkpoint`,
      placeHolder: 'It continues from the checkpoint, but bit for bit only if nothing differs',
      matchOnDetail: true,
      // Showing a change takes the focus.
      ignoreFocusOut: true,
    });
    if (chosen?.file) await showChange(root, run, chosen.file);
    // The other rows of what differs are there to be read.
  } while (chosen && items.includes(chosen));
  if (chosen === go) return { accept: true, current: [] };
  if (chosen && then.includes(chosen)) return { accept: true, current: [], code: 'then' };
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
  return undefined;
}

/** Offers the original code where the code differs, was kept, and can run in a copy. */
function codeOfThen(
  run: Run,
  differences: readonly PreflightDifference[],
  verb: 'resume' | 'fork',
): vscode.QuickPickItem[] {
  const differs = differences.some(({ kind, name }) => kind === 'code' && name !== '');
  if (verb !== 'resume' || !differs || run.code === null || !run.cooperative) return [];
  return [
    { label: '$(history) Resume with the original code', description: 'in a private copy of the folder as it was' },
  ];
}

/** Opens the difference between a file as the run had it and the file of today. */
async function showChange(root: string, run: Run, file: string): Promise<void> {
  const options = { preview: true, preserveFocus: true };
  const then = codeUri(root, run.code!, file);
  const title = `${plain(file)} (${plain(run.name)} ↔ now)`;
  await vscode.commands.executeCommand('vscode.diff', then, vscode.Uri.file(join(root, file)), title, options);
}
