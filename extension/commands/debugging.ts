/** Runs under the installed Python debugger: ordinary runs in every other way, including their checkpoints. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { nextChange } from '../../base/watch.ts';
import type { Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { runShow, runStart, runStop } from '../../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { type App, command, launchFrom } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { JobNode } from '../views/jobs.ts';
import { showLog } from '../views/log-terminal.ts';
import type { Node } from '../views/runs.ts';
import { resume } from './resuming.ts';
import { fileTarget, jobTarget } from './starting.ts';
import { checkpointTarget } from './targets.ts';

const DEBUGGER = 'ms-python.debugpy';
const HOST = '127.0.0.1';
const LISTENS_MS = 30_000;
const LOOK_MS = 1_000;

export function registerDebugging(app: App, context: vscode.ExtensionContext): void {
  const on = (name: string, run: (...args: never[]) => unknown) => command(app, context, name, run);

  on('debug', async (node?: JobNode) => {
    const target = await jobTarget(app, node);
    if (!target) return;
    const { root, job } = target;
    await debug(app, root, (how) => app.connection.request(runStart, { root, job: job.name, params: {}, ...how }));
  });

  on('debugFile', async (file?: vscode.Uri) => {
    const target = await fileTarget(app, file);
    if (!target) return;
    await debug(app, target.root, (how) => app.connection.request(runStart, { ...target, ...how }));
  });

  // A fork: the inspected run keeps its steps and its curve.
  on('debugFrom', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'debug from');
    if (!target) return;
    const { root, run, checkpoint } = target;
    await debug(app, root, (how) => resume(app, 'fork', root, run, { from: checkpoint.id, ...how }));
  });
}

/** Launch options that make a Python wait for the debugger. */
interface Debugged {
  debugger: string[];
  environment: Record<string, string>;
  interpreter: string | undefined;
}

/** Starts a run by `start` and attaches the debugger. `start` resolves to undefined if nothing was started. */
async function debug(app: App, root: string, start: (how: Debugged) => Promise<Run | undefined>): Promise<void> {
  const found = await findDebugger();
  if (!found) return;
  const folder = await mkdtemp(join(tmpdir(), 'trainstash-debugger-'));
  const place = join(folder, 'endpoints.json');
  try {
    const { environment, interpreter } = await launchFrom(root);
    const run = await start({
      // Picking a free port here would race; debugpy binds port 0 and writes the chosen port into the file.
      debugger: [...found, '--listen', `${HOST}:0`, '--wait-for-client'],
      environment: { ...environment, DEBUGPY_ADAPTER_ENDPOINTS: place },
      interpreter,
    });
    if (!run) return;
    showLog(app.connection, root, run);
    await attach(app, root, run, place);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function attach(app: App, root: string, run: Run, place: string): Promise<void> {
  const port = await portOf(app, root, run, place);
  const folder = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(root));
  const connect = { host: HOST, port };
  const attached =
    port !== undefined &&
    (await vscode.debug.startDebugging(folder, { name: run.name, type: 'debugpy', request: 'attach', connect }));
  if (attached) return;
  if (!(await isLive(app, root, run))) {
    // The log is open, and with the status it says why.
    void vscode.window.showErrorMessage(`${plain(run.name)} ended before the debugger was attached.`);
    return;
  }
  const text = `The debugger could not be attached to ${plain(run.name)}. The run is still waiting for it.`;
  if (await vscode.window.showErrorMessage(text, 'Stop the Run'))
    await app.connection.request(runStop, { root, run: run.id, force: true });
}

interface DebuggerApi {
  debug?: { getDebuggerPackagePath?(): Promise<string | undefined> };
}

/** Returns the arguments that start the debugger's own copy of debugpy in any Python. Without the extension: undefined, after a message. */
async function findDebugger(): Promise<string[] | undefined> {
  const extension = vscode.extensions.getExtension<DebuggerApi>(DEBUGGER);
  if (!extension) {
    const text = 'Debugging needs the Python Debugger extension. Nothing was started.';
    if (await vscode.window.showInformationMessage(text, 'Show Extension'))
      await vscode.commands.executeCommand('workbench.extensions.search', `@id:${DEBUGGER}`);
    return undefined;
  }
  const api = extension.isActive ? extension.exports : await extension.activate();
  const path = await api?.debug?.getDebuggerPackagePath?.();
  // A breakpoint needs a file, which frozen modules have not; a Python without frozen modules ignores this option.
  return ['-Xfrozen_modules=off', ...(path ? [path] : ['-m', 'debugpy'])];
}

/** Waits for the port of the run's debugger; undefined if the run has ended or the debugger does not report. */
async function portOf(app: App, root: string, run: Run, place: string): Promise<number | undefined> {
  for (const deadline = Date.now() + LISTENS_MS; Date.now() < deadline; ) {
    const change = nextChange([dirname(place)], { withinMs: LOOK_MS });
    try {
      return (JSON.parse(await readFile(place, 'utf8')) as { client: { port: number } }).client.port;
    } catch {
      // The file is missing or not complete yet.
      if (!(await isLive(app, root, run))) return undefined;
      await change.promise;
    } finally {
      change.close();
    }
  }
  return undefined;
}

async function isLive(app: App, root: string, { id }: Run): Promise<boolean> {
  try {
    const { run } = await app.connection.poll(runShow, { root, run: id });
    return LIVE_STATUSES.includes(run.status);
  } catch (error) {
    if (isError(error, 'daemonUnavailable')) return true;
    throw error;
  }
}
