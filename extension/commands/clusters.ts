/** Commands about clusters: set one up, try it, and run a job or resume a run there or here. */
import * as vscode from 'vscode';
import { HERE_NAME } from '../../protocol/engines.ts';
import {
  type EngineFinding,
  engineAdd,
  engineList,
  engineTest,
  type NewEngine,
} from '../../protocol/messages/engine.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { type App, type Commands, environment, launchFrom, openAt } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { ClusterNode } from '../views/clusters.ts';
import type { JobNode } from '../views/jobs.ts';
import { showLog } from '../views/log-terminal.ts';
import type { Node } from '../views/runs.ts';
import { withProgress } from './input.ts';
import { resume } from './resuming.ts';
import { jobTarget } from './starting.ts';
import { isResumable, runTarget } from './targets.ts';

type Kind = vscode.QuickPickItem & { type: NewEngine['type']; asks: ('host' | 'address' | 'folder')[] };
const KINDS: Kind[] = [
  {
    label: 'Slurm, from this machine',
    detail: 'sbatch and squeue work here, and the cluster sees a folder of this machine',
    type: 'slurm',
    asks: ['folder'],
  },
  {
    label: 'Slurm, through a login node',
    detail: 'a host that ssh reaches without a password',
    type: 'slurm',
    asks: ['host', 'folder'],
  },
  { label: 'A host with SSH', detail: 'one machine, reached without a password', type: 'ssh', asks: ['host'] },
  { label: 'Ray', detail: 'a Ray head, by the address of its dashboard', type: 'ray', asks: ['address', 'folder'] },
];
const QUESTIONS = {
  host: { prompt: 'Name of the host, as ssh knows it', placeHolder: 'login.example.org' },
  address: { prompt: 'Address of the Ray head’s dashboard', placeHolder: 'http://127.0.0.1:8265' },
  folder: {
    prompt: 'Folder that all nodes see, for code, checkpoints and records',
    placeHolder: '/scratch/me/trainstash',
  },
} as const;

export const clusterCommands: Commands = {
  clusterSetUp: setUp,
  async clusterTest(app, node?: ClusterNode) {
    const chosen = await chosenCluster(app, node);
    if (chosen) await tryCluster(app, chosen.root, chosen.name);
  },
  async runOn(app, node?: JobNode) {
    const chosen = await jobTarget(app, node);
    if (!chosen) return;
    const { root, job } = chosen;
    const engine = await chosenPlace(app, root, `Run ${plain(job.name)}`);
    if (engine === undefined) return;
    const run = await withProgress(`Sending ${job.name}`, async () =>
      app.connection.request(runStart, { root, job: job.name, params: {}, engine, ...(await launchFrom(root)) }),
    );
    showLog(app.connection, root, run);
  },
  async resumeOn(app, node?: Node) {
    const target = await runTarget(app, node, 'resume', isResumable);
    if (!target) return;
    const engine = await chosenPlace(app, target.root, `Resume ${plain(target.run.name)}`);
    if (engine !== undefined) await resume(app, 'resume', target.root, target.run, { engine });
  },
};

async function setUp(app: App): Promise<void> {
  const root = await app.chooseRoot();
  if (!root) return;
  const title = 'Set Up a Cluster';
  const kind = await vscode.window.showQuickPick(KINDS, {
    title,
    placeHolder: 'How is it reached?',
    ignoreFocusOut: true,
  });
  if (!kind) return;
  const settings: NewEngine = { type: kind.type };
  for (const key of kind.asks) {
    const answer = await vscode.window.showInputBox({ title, ...QUESTIONS[key], ignoreFocusOut: true });
    if (!answer) return;
    settings[key] = answer.trim();
  }
  if (kind.type === 'slurm') {
    const words = await vscode.window.showInputBox({
      title,
      prompt: 'Options of sbatch, such as a partition and GPUs; may be empty',
      placeHolder: '--partition=gpu --gres=gpu:1',
      ignoreFocusOut: true,
    });
    if (words === undefined) return;
    const options = words.split(/\s+/).filter(Boolean);
    if (options.length > 0) settings.options = options;
  }
  const name = await vscode.window.showInputBox({
    title,
    prompt: 'Its name in trainstash.json',
    value: kind.type === 'ssh' ? 'box' : 'cluster',
    validateInput: (text) =>
      /^(?!\d+$)[A-Za-z0-9][\w-]{0,31}$/.test(text) && text !== HERE_NAME
        ? null
        : `Letters, digits and dashes, not only digits, and not "${HERE_NAME}"`,
    ignoreFocusOut: true,
  });
  if (!name) return;
  const { config } = await app.connection.request(engineAdd, { root, name, settings });
  await openAt(config);
  await vscode.commands.executeCommand('trainstash.clusters.focus');
  await vscode.commands.executeCommand('trainstash.clusterRefresh');
  await tryCluster(app, root, name);
}

/** Submits a job of one second, and shows what was found: what is missing comes first. */
async function tryCluster(app: App, root: string, name: string): Promise<void> {
  const { findings } = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: `Trying ${plain(name)} with a job of one second…` },
    () => app.connection.request(engineTest, { root, name, environment: environment() }),
  );
  const isFine = findings.every((one) => one.isFine);
  const run = 'Run a Job There…';
  const items = [...findings].sort((a, b) => Number(a.isFine) - Number(b.isFine)).map(itemOf);
  const go = { label: `$(play) ${run}` };
  const picked = await vscode.window.showQuickPick(isFine ? [...items, go] : items, {
    title: `${plain(name)}: ${isFine ? 'everything works' : 'something is missing'}`,
    placeHolder: isFine ? 'Its nodes have what a training needs' : 'What is missing comes first',
    ignoreFocusOut: true,
  });
  if (picked === go) await vscode.commands.executeCommand('trainstash.runOn');
}

/** Makes a row; a long sentence stands below its subject, where it is not cut. */
function itemOf({ what, isFine, text }: EngineFinding): vscode.QuickPickItem {
  const label = `${isFine ? '$(check)' : '$(error)'} ${plain(what)}`;
  return isFine ? { label, description: plain(text) } : { label, detail: plain(text) };
}

async function chosenCluster(app: App, node?: ClusterNode): Promise<{ root: string; name: string } | undefined> {
  if (node?.kind === 'cluster') return node;
  const root = await app.chooseRoot();
  if (!root) return undefined;
  const { engines } = await app.connection.request(engineList, { root });
  if (engines.length === 0) {
    await setUp(app);
    return undefined;
  }
  if (engines.length === 1) return { root, name: engines[0]!.name };
  const items = engines.map(({ name, type, host }) => ({ label: name, description: `${type} ${host ?? ''}` }));
  const picked = await vscode.window.showQuickPick(items, { title: 'Which cluster?' });
  return picked && { root, name: picked.label };
}

/** Asks where a run is to train. Undefined: cancelled, or there is no cluster, and setting one up was offered. */
async function chosenPlace(app: App, root: string, title: string): Promise<string | undefined> {
  const { engines } = await app.connection.request(engineList, { root });
  if (engines.length === 0) {
    const add = 'Set Up a Cluster';
    const text = 'This project knows no cluster and no other host yet.';
    if ((await vscode.window.showInformationMessage(text, add)) === add) await setUp(app);
    return undefined;
  }
  const here = { label: '$(device-desktop) This machine', name: HERE_NAME };
  const there = engines.map(({ name, type, host }) => ({
    label: `$(server-environment) ${plain(name)}`,
    description: plain([type, host ?? ''].filter(Boolean).join(' · ')),
    name,
  }));
  return (await vscode.window.showQuickPick([...there, here], { title, placeHolder: 'Where?' }))?.name;
}
