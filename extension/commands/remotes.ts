/** Commands about remotes: add and try them, push, and go on here from what another machine has sent. */
import * as vscode from 'vscode';
import {
  type RemoteOffer,
  type RemoteSummary,
  remoteAdd,
  remoteDecline,
  remoteFetch,
  remoteList,
  remotePull,
  remotePush,
  remoteRemove,
  remoteTest,
} from '../../protocol/messages/remote.ts';
import { offerSentences } from '../../protocol/pushing.ts';
import { bytes, counted } from '../../protocol/words.ts';
import { type App, type Commands, launchFrom } from '../core/app.ts';
import { requestWithProgress } from '../core/progress.ts';
import { plain } from '../core/text.ts';
import type { RemoteNode } from '../views/remotes.ts';
import type { Node } from '../views/runs.ts';

/** Variables that a remote needs, of the window's environment. */
const NEEDED = /^(AWS_|SSH_|RCLONE_|DBUS_SESSION_BUS_ADDRESS$|XDG_(CONFIG_HOME|RUNTIME_DIR)$|HOME$|PATH$|USER$)/;

async function environmentOf(root: string): Promise<Record<string, string>> {
  const { environment } = await launchFrom(root);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => NEEDED.test(name)));
}

/** Returns the remote of a row; without one asks which is meant. */
async function chosenRemote(app: App, node?: RemoteNode): Promise<{ root: string; remote: RemoteSummary } | undefined> {
  if (node?.kind === 'remote') return node;
  const root = await app.chooseRoot();
  if (!root) return undefined;
  const { remotes } = await app.connection.request(remoteList, { root });
  if (remotes.length === 0) {
    const add = 'Add Remote…';
    const text = 'This project has no remote yet: a folder, bucket or machine that keeps copies of its checkpoints.';
    if ((await vscode.window.showInformationMessage(text, add)) === add) await addRemote(app);
    return undefined;
  }
  if (remotes.length === 1) return { root, remote: remotes[0]! };
  const items = remotes.map((remote) => ({ label: remote.name, description: remote.url, remote }));
  const picked = await vscode.window.showQuickPick(items, { title: 'Which remote?' });
  return picked && { root, remote: picked.remote };
}

async function addRemote(app: App): Promise<void> {
  const root = await app.chooseRoot();
  if (!root) return;
  const url = await vscode.window.showInputBox({
    title: 'Add Remote (1/2): where is it?',
    placeHolder: 'file:///mnt/share/digits, ssh://host/folder, s3://bucket/folder, rclone:REMOTE:folder',
    prompt: 'An empty folder or bucket becomes a remote; an existing one is joined. Nothing is sent yet.',
    ignoreFocusOut: true,
  });
  if (!url) return;
  const name = await vscode.window.showInputBox({
    title: 'Add Remote (2/2): its name here',
    value: 'box',
    validateInput: (text) =>
      /^(?!\d+$)[A-Za-z0-9][\w-]{0,31}$/.test(text) ? null : 'Letters, digits and dashes, and not only digits',
    ignoreFocusOut: true,
  });
  if (name) await add(app, root, { name, url });
}

async function add(
  app: App,
  root: string,
  place: Pick<RemoteOffer, 'name' | 'url' | 'endpoint' | 'region' | 'profile'>,
): Promise<void> {
  const { name, url, endpoint, region, profile } = place;
  const environment = await environmentOf(root);
  const added = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: `Trying ${name}…` },
    () => app.connection.request(remoteAdd, { root, name, url, endpoint, region, profile, environment }),
  );
  await vscode.commands.executeCommand('trainstash.remotes.focus');
  await vscode.commands.executeCommand('trainstash.remoteRefresh');
  const push = 'Push Everything';
  const text = added.isNew ? `${name} is ready, and empty.` : `${name} is ready. Fetch shows what it has.`;
  if ((await vscode.window.showInformationMessage(text, push)) === push) await pushTo(app, root, name, []);
}

async function pushTo(app: App, root: string, to: string, targets: string[]): Promise<void> {
  const environment = await environmentOf(root);
  const report = await requestWithProgress(app.connection, `Pushing to ${to}`, remotePush, {
    root,
    to,
    targets,
    environment,
  });
  if (!report) return;
  const text =
    report.checkpoints === 0
      ? `${to} has all of it already.`
      : `${counted(report.checkpoints, 'checkpoint')} sent to ${to} (${bytes(report.bytes)}).`;
  await vscode.commands.executeCommand('trainstash.remoteRefresh');
  void vscode.window.showInformationMessage(text);
}

export const remoteCommands: Commands = {
  remoteAdd: addRemote,
  async push(app, node?: Node | RemoteNode) {
    const own = node?.kind === 'remote' ? node : undefined;
    const chosen = await chosenRemote(app, own);
    if (!chosen) return;
    const target = node?.kind === 'run' ? [node.id] : node?.kind === 'checkpoint' ? [node.checkpoint.id] : [];
    await pushTo(app, node && 'root' in node ? node.root : chosen.root, chosen.remote.name, target);
  },
  async remoteFetch(app, node?: RemoteNode) {
    const root = node?.root ?? (await app.chooseRoot());
    if (!root) return;
    const name = node?.kind === 'remote' ? node.remote.name : undefined;
    const environment = await environmentOf(root);
    const report = await requestWithProgress(app.connection, 'Fetching', remoteFetch, { root, name, environment });
    await vscode.commands.executeCommand('trainstash.remoteRefresh');
    const problem = report?.fetched.flatMap(({ problems }) => problems)[0];
    if (problem) void vscode.window.showWarningMessage(plain(problem));
  },
  async remoteTest(app, node?: RemoteNode) {
    const chosen = await chosenRemote(app, node);
    if (!chosen) return;
    const { name, url } = chosen.remote;
    const environment = await environmentOf(chosen.root);
    const { steps } = await app.connection.request(remoteTest, { root: chosen.root, name, environment });
    const items = steps.map(({ does, ms, error }) => ({
      label: `${error ? '$(error)' : '$(check)'} ${does}`,
      description: error ? plain(error.message) : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`,
    }));
    const isFine = steps.every(({ error }) => error === null);
    await vscode.window.showQuickPick(items, {
      title: `${name}: ${isFine ? 'everything works' : 'something fails'}`,
      placeHolder: url,
      ignoreFocusOut: true,
    });
  },
  async remoteRemove(app, node: RemoteNode) {
    if (node?.kind !== 'remote') return;
    const yes = 'Forget Remote';
    const detail = 'What is stored there stays there.';
    const question = `Forget the remote ${node.remote.name} on this machine?`;
    if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, yes)) !== yes) return;
    await app.connection.request(remoteRemove, { root: node.root, name: node.remote.name });
    await vscode.commands.executeCommand('trainstash.remoteRefresh');
  },
  async remoteAccept(app, node: RemoteNode) {
    if (node?.kind !== 'offer') return;
    const { name, url } = node.offer;
    const [yes, no] = ['Use It on This Machine', 'Do Not Ask Again'];
    const detail = offerSentences(node.offer).join(' ');
    const chosen = await vscode.window.showInformationMessage(
      `Use the remote ${name}?`,
      { modal: true, detail },
      yes,
      no,
    );
    if (chosen === no) await app.connection.request(remoteDecline, { root: node.root, name, url });
    if (chosen === yes) await add(app, node.root, node.offer);
  },
  async resumeRemote(app, node: RemoteNode) {
    if (node?.kind !== 'remoteRun') return;
    const { remote, run } = node.run;
    const environment = await environmentOf(node.root);
    const targets = [`${remote}/${run.id}@last`];
    const report = await requestWithProgress(app.connection, `Taking ${run.name} from ${remote}`, remotePull, {
      root: node.root,
      targets,
      environment,
    });
    if (!report?.checkpoint) return;
    for (const one of report.runs) app.model.know(node.root, one);
    await vscode.commands.executeCommand('trainstash.resume', {
      kind: 'run',
      root: node.root,
      id: run.id,
    } satisfies Node);
  },
};
