/** Runs something urgent: the runs in its way save, end, and go on after it. */
import * as vscode from 'vscode';
import { notMoved } from '../../protocol/devices.ts';
import type { Params } from '../../protocol/domain.ts';
import { isError, type TrainstashError } from '../../protocol/errors.ts';
import { projectJobs } from '../../protocol/messages/project.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { counted, integer } from '../../protocol/words.ts';
import { type App, type Commands, launchFrom } from '../core/app.ts';
import { plain } from '../core/text.ts';
import { type JobNode, jobsOf } from '../views/jobs.ts';
import { showLog } from '../views/log-terminal.ts';
import { withProgress } from './input.ts';
import { fileTarget } from './starting.ts';

const INTERRUPT = 'Interrupt';
const WAIT = 'Wait as the First';

export const urgentCommands = { runUrgently } satisfies Commands;

async function runUrgently(app: App, node?: JobNode): Promise<void> {
  const target = await urgentTarget(app, node);
  if (!target) return;
  const { root, folder, request, name } = target;
  const from = await launchFrom(folder);
  const start = (more: { urgent: 'interrupt' | 'wait'; accepted?: string[] }) =>
    withProgress(`Starting ${name}`, () => app.connection.request(runStart, { ...request, ...from, ...more }));
  const run = await start({ urgent: 'interrupt' }).catch(async (error: unknown) => {
    if (!isError(error, 'interruptLoses')) throw error;
    const answer = await askAboutLoss(name, error.data);
    // No answer interrupts nobody, and starts nothing.
    if (answer === undefined) return null;
    if (answer === WAIT) return start({ urgent: 'wait' });
    return start({ urgent: 'interrupt', accepted: error.data.runs.map((one) => one.run) });
  });
  if (run) showLog(app.connection, root, run);
}

/** Says what others would lose, and asks. */
function askAboutLoss(name: string, { runs, mover }: TrainstashError<'interruptLoses'>['data']) {
  const losses = runs.map(({ name: other, step, checkpointStep }) =>
    checkpointStep === null
      ? `${other} cannot save on request and has no checkpoint: it starts again from the beginning.`
      : `${other} cannot save on request: it loses ${counted(Math.max(0, step - checkpointStep), 'step')} since step ${integer(checkpointStep)}.`,
  );
  const detail = [...losses, ...(mover === null ? [] : [notMoved(mover)])].map(plain).join('\n');
  return vscode.window.showWarningMessage(
    `Interrupt ${counted(runs.length, 'run')} for ${plain(name)}?`,
    { modal: true, detail },
    INTERRUPT,
    WAIT,
  );
}

interface UrgentTarget {
  root: string;
  folder: string;
  name: string;
  request: { root: string; job: string; params: Params; command?: string[]; cwd?: string };
}

/** Asks for a job or a script. Undefined: cancelled, or there is none, which is shown. */
async function urgentTarget(app: App, node?: JobNode): Promise<UrgentTarget | undefined> {
  if (node?.job) return ofJob(node);
  const root = await app.chooseRoot();
  if (!root) return undefined;
  const jobs = await jobsOf((params) => app.connection.request(projectJobs, params), root);
  const script = { label: '$(file-code) A Script…', description: '', node: undefined };
  const items = jobs.map((one) => ({ label: plain(one.job.name), description: plain(one.job.what), node: one }));
  const title = 'Run Urgently';
  const placeHolder = 'Runs in its way save, end, and go on after it';
  const picked =
    jobs.length === 0 ? script : await vscode.window.showQuickPick([...items, script], { title, placeHolder });
  if (!picked) return undefined;
  return picked.node ? ofJob(picked.node) : ofScript();

  async function ofScript(): Promise<UrgentTarget | undefined> {
    const target = await fileTarget(app, undefined);
    return target && { root: target.root, folder: target.cwd, name: target.command[1]!, request: target };
  }
}

function ofJob({ root, job }: JobNode): UrgentTarget {
  return { root, folder: root, name: job.name, request: { root, job: job.name, params: {} } };
}
