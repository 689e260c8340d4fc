/** Views of remotes: a tree of them with their runs, marks at checkpoints, and the progress of pushes in the status bar. */
import * as vscode from 'vscode';
import type { RemoteOffer, RemoteRun, RemoteSummary } from '../../protocol/messages/remote.ts';
import { age, bytes, counted, integer } from '../../protocol/words.ts';
import type { RemotesModel, RemotesOf } from '../core/remotes-model.ts';
import { oneLine } from '../core/text.ts';
import { Throttle } from '../core/throttle.ts';
import { CHECKPOINT_SCHEME } from './runs.ts';
import { tooltipOfRemote } from './tooltips.ts';

const REDRAW_MS = 500;

export type RemoteNode =
  | { kind: 'remote'; root: string; remote: RemoteSummary }
  | { kind: 'offer'; root: string; offer: RemoteOffer }
  | { kind: 'remoteRun'; root: string; run: RemoteRun };

export class RemotesTree implements vscode.TreeDataProvider<RemoteNode> {
  readonly #model: RemotesModel;
  readonly #changed = new vscode.EventEmitter<RemoteNode | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #throttle = new Throttle(REDRAW_MS, () => this.#changed.fire(undefined));

  constructor(model: RemotesModel) {
    this.#model = model;
    model.onChanged(() => this.redraw());
  }

  redraw(): void {
    this.#throttle.request();
  }

  dispose(): void {
    this.#throttle.dispose();
    this.#changed.dispose();
  }

  async getChildren(node?: RemoteNode): Promise<RemoteNode[]> {
    if (!node) return this.#model.projects.flatMap(nodesOf);
    if (node.kind !== 'remote') return [];
    const runs = await this.#model.runs(node.root, node.remote.name);
    return runs.map((run) => ({ kind: 'remoteRun', root: node.root, run }));
  }

  getTreeItem(node: RemoteNode): vscode.TreeItem {
    if (node.kind === 'remote') return remoteItem(node);
    return node.kind === 'offer' ? offerItem(node) : runItem(node);
  }
}

function nodesOf({ root, remotes, offers }: RemotesOf): RemoteNode[] {
  const open = offers.filter(({ accepted }) => accepted === null);
  return [
    ...remotes.map((remote): RemoteNode => ({ kind: 'remote', root, remote })),
    ...open.map((offer): RemoteNode => ({ kind: 'offer', root, offer })),
  ];
}

function remoteItem({ root, remote }: Extract<RemoteNode, { kind: 'remote' }>): vscode.TreeItem {
  const { name, waiting, sending, failing, runs, fetchedAt } = remote;
  const { Collapsed, None } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(oneLine(name), runs > 0 ? Collapsed : None);
  item.id = `remote ${root} ${name}`;
  const known = fetchedAt === null ? 'never fetched' : counted(runs, 'run');
  const state = failing
    ? `nothing sent since ${age(failing.since)}`
    : sending
      ? `sending ${bytes(sending.done)} of ${bytes(sending.total)}`
      : waiting > 0
        ? `${counted(waiting, 'run waits', 'runs wait')}`
        : '';
  item.description = [state, known].filter(Boolean).join(' · ');
  item.iconPath = failing
    ? new vscode.ThemeIcon('cloud', new vscode.ThemeColor('list.warningForeground'))
    : new vscode.ThemeIcon(sending ? 'cloud-upload' : 'cloud');
  item.tooltip = tooltipOfRemote(remote);
  item.contextValue = 'remote';
  item.accessibilityInformation = { label: oneLine(`remote ${name}, ${item.description}`) };
  return item;
}

function offerItem({ root, offer }: Extract<RemoteNode, { kind: 'offer' }>): vscode.TreeItem {
  const { name, url, jobs } = offer;
  const item = new vscode.TreeItem(oneLine(name), vscode.TreeItemCollapsibleState.None);
  item.id = `offer ${root} ${name}`;
  item.description = `offered by trainstash.json, not accepted: ${oneLine(url)}`;
  item.iconPath = new vscode.ThemeIcon('question', new vscode.ThemeColor('disabledForeground'));
  item.tooltip = `${oneLine(url)}\nNothing is sent there before you accept it on this machine.${jobs.length > 0 ? ` Then checkpoints of ${jobs.join(', ')} go there by themselves.` : ''}`;
  item.contextValue = 'remoteOffer';
  item.accessibilityInformation = { label: oneLine(`remote ${name}, ${item.description}`) };
  return item;
}

function runItem({ root, run: there }: Extract<RemoteNode, { kind: 'remoteRun' }>): vscode.TreeItem {
  const { remote, run, machine, sentAt, checkpoints, missing, number } = there;
  const item = new vscode.TreeItem(oneLine(run.name), vscode.TreeItemCollapsibleState.None);
  item.id = `remote run ${root} ${remote} ${run.id}`;
  const isElsewhere = number === null;
  const place = isElsewhere
    ? `only there · step ${integer(run.step)}`
    : missing > 0
      ? `here as #${number}, ${integer(missing)} of ${counted(checkpoints, 'checkpoint')} only there`
      : `here as #${number}`;
  item.description = `${place} · ${oneLine(machine)}, ${age(sentAt)}`;
  const icon = isElsewhere ? 'cloud-download' : 'circle-outline';
  item.iconPath = new vscode.ThemeIcon(icon, new vscode.ThemeColor('disabledForeground'));
  // The decoration of what is not here is grey, as that of files that git ignores.
  item.resourceUri = vscode.Uri.from({
    scheme: CHECKPOINT_SCHEME,
    path: `/${isElsewhere ? 'elsewhere' : 'here'}/${run.id}`,
  });
  item.contextValue = 'remoteRun';
  item.accessibilityInformation = { label: oneLine(`${run.name} on ${remote}, ${item.description}`) };
  return item;
}

/** Marks checkpoints that are elsewhere, too, or wait for it; and greys runs that are not here. */
export class RemoteMarks implements vscode.FileDecorationProvider {
  readonly #model: RemotesModel;
  readonly #changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeFileDecorations = this.#changed.event;

  constructor(model: RemotesModel) {
    this.#model = model;
    model.onChanged(() => this.#changed.fire(undefined));
  }

  dispose(): void {
    this.#changed.dispose();
  }

  provideFileDecoration({ scheme, path, query: root }: vscode.Uri): vscode.FileDecoration | undefined {
    if (scheme !== CHECKPOINT_SCHEME) return undefined;
    const [, run, id] = path.split('/');
    if (run === 'elsewhere') return { color: new vscode.ThemeColor('disabledForeground') };
    if (run && root) this.#model.follow(root, run);
    const mark = this.#model.markOf(run ?? '', id ?? '');
    if (mark) return { badge: '☁', tooltip: `also on ${mark.there.join(', ')}` };
    return this.#model.isWaiting(run ?? '')
      ? { badge: '…', tooltip: 'here; may be sent with the next push' }
      : undefined;
  }
}

/** Registers the view, the marks and the item in the status bar. */
export function registerRemoteViews(context: vscode.ExtensionContext, model: RemotesModel): void {
  const tree = new RemotesTree(model);
  const marks = new RemoteMarks(model);
  const { window } = vscode;
  const views = [
    window.registerTreeDataProvider('trainstash.remotes', tree),
    window.registerFileDecorationProvider(marks),
  ];
  context.subscriptions.push(model, tree, marks, new RemoteStatus(model), ...views);
}

/** Shows pushes in the status bar while they go on, or cannot. */
export class RemoteStatus {
  readonly #item = vscode.window.createStatusBarItem('trainstash.remotes', vscode.StatusBarAlignment.Left, 4);

  constructor(model: RemotesModel) {
    this.#item.name = 'Trainstash Remotes';
    this.#item.command = 'trainstash.remotes.focus';
    model.onChanged(() => this.#draw(model));
  }

  dispose(): void {
    this.#item.dispose();
  }

  #draw({ projects }: RemotesModel): void {
    const all = projects.flatMap(({ remotes }) => remotes);
    const failing = all.find((remote) => remote.failing !== null);
    const sending = all.find((remote) => remote.sending !== null);
    if (!failing && !sending) {
      this.#item.hide();
      return;
    }
    if (failing) {
      this.#item.text = `$(cloud) ${oneLine(failing.name)}: not reached`;
      this.#item.tooltip = oneLine(failing.failing!.message);
    } else {
      const { name, sending: now } = sending!;
      const percent = now!.total > 0 ? Math.floor((now!.done / now!.total) * 100) : 0;
      this.#item.text = `$(cloud-upload) ${oneLine(name)} ${percent} %`;
      this.#item.tooltip = `Checkpoints are sent to ${oneLine(name)}: ${bytes(now!.done)} of ${bytes(now!.total)}.`;
    }
    this.#item.show();
  }
}
