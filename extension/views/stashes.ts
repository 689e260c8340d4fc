/** Tree of stashes of every open project: stash → files. */
import * as vscode from 'vscode';
import type { Connection } from '../../pages/connection.ts';
import { type StashSummary, stashList, stashShow } from '../../protocol/messages/branch.ts';
import { age, bytes, counted, stashReason } from '../../protocol/words.ts';
import type { Model } from '../core/model.ts';
import { oneLine } from '../core/text.ts';

export type StashNode =
  | { kind: 'stash'; root: string; stash: StashSummary }
  | { kind: 'file'; path: string; bytes: number; stored: boolean };

export class StashesTree implements vscode.TreeDataProvider<StashNode> {
  readonly #connection: Connection;
  readonly #model: Model;
  readonly #changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(connection: Connection, model: Model) {
    this.#connection = connection;
    this.#model = model;
  }

  redraw(): void {
    this.#changed.fire(undefined);
  }

  async getChildren(node?: StashNode): Promise<StashNode[]> {
    if (node?.kind === 'file') return [];
    if (node) {
      const shown = { root: node.root, stash: node.stash.id };
      const { files } = await this.#connection.poll(stashShow, shown).catch(() => ({ files: [] }));
      return files.map((file) => ({ kind: 'file', ...file }));
    }
    const lists = await Promise.all(
      this.#model.projects.map(async ({ project: { root } }) => {
        const { stashes } = await this.#connection.poll(stashList, { root }).catch(() => ({ stashes: [] }));
        return stashes.map((stash): StashNode => ({ kind: 'stash', root, stash }));
      }),
    );
    return lists.flat();
  }

  getTreeItem(node: StashNode): vscode.TreeItem {
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    if (node.kind === 'file') {
      const item = new vscode.TreeItem(oneLine(node.path), None);
      item.description = `${bytes(node.bytes)}${node.stored ? '' : ' · not in the store'}`;
      item.iconPath = new vscode.ThemeIcon('file');
      return item;
    }
    const { stash } = node;
    const item = new vscode.TreeItem(oneLine(stash.branchExists ? stash.branch : `${stash.branch} (gone)`), Collapsed);
    item.id = `${node.root} ${stash.id}`;
    item.description = `${stashReason(stash)} · ${counted(stash.files, 'file')} · ${bytes(stash.bytes)} · ${age(stash.createdAt)}`;
    item.iconPath = new vscode.ThemeIcon(stash.droppedAt === null ? 'archive' : 'trash');
    item.contextValue = stash.droppedAt === null ? 'stash' : 'dropped';
    item.accessibilityInformation = { label: oneLine(`stash of ${stash.branch}, ${item.description}`) };
    return item;
  }

  dispose(): void {
    this.#changed.dispose();
  }
}
