/** View of clusters: each engine of a project with its runs, its queue and its nodes. */
import * as vscode from 'vscode';
import type { Run } from '../../protocol/domain.ts';
import { engineText } from '../../protocol/engine-words.ts';
import type { EngineJob, EngineNode } from '../../protocol/engines.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { counted, integer } from '../../protocol/words.ts';
import type { Cluster, ClustersModel } from '../core/clusters-model.ts';
import type { Model } from '../core/model.ts';
import { lookOfRun, oneLine } from '../core/text.ts';
import { Throttle } from '../core/throttle.ts';

const REDRAW_MS = 500;
const TYPES = { slurm: 'Slurm', ssh: 'SSH', ray: 'Ray', kubernetes: 'Kubernetes' } as const;

export type ClusterNode =
  | { kind: 'cluster'; root: string; name: string }
  | { kind: 'clusterRun'; root: string; id: string }
  | { kind: 'queue' | 'nodes'; root: string; name: string }
  | { kind: 'job'; root: string; name: string; job: EngineJob }
  | { kind: 'node'; root: string; name: string; node: EngineNode };

export class ClustersTree implements vscode.TreeDataProvider<ClusterNode> {
  readonly #clusters: ClustersModel;
  readonly #runs: Model;
  readonly #changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #throttle = new Throttle(REDRAW_MS, () => this.#changed.fire(undefined));

  constructor(clusters: ClustersModel, runs: Model) {
    this.#clusters = clusters;
    this.#runs = runs;
    clusters.onChanged(() => this.redraw());
  }

  redraw(): void {
    this.#throttle.request();
  }

  dispose(): void {
    this.#throttle.dispose();
    this.#changed.dispose();
  }

  getChildren(node?: ClusterNode): ClusterNode[] {
    if (!node) return this.#clusters.clusters.map(({ root, engine }) => ({ kind: 'cluster', root, name: engine.name }));
    const { root } = node;
    if (!('name' in node)) return [];
    const { name } = node;
    const load = this.#cluster(node)?.load;
    if (node.kind === 'queue') return load?.queue.map((job) => ({ kind: 'job', root, name, job })) ?? [];
    if (node.kind === 'nodes') return load?.nodes.map((one) => ({ kind: 'node', root, name, node: one })) ?? [];
    if (node.kind !== 'cluster') return [];
    const runs = this.#runsOn(root, name).map(({ id }): ClusterNode => ({ kind: 'clusterRun', root, id }));
    return load ? [...runs, { kind: 'queue', root, name }, { kind: 'nodes', root, name }] : runs;
  }

  getTreeItem(node: ClusterNode): vscode.TreeItem {
    const item = this.#item(node);
    item.id = idOf(node);
    item.contextValue = node.kind;
    item.accessibilityInformation = { label: oneLine(`${WORDS[node.kind]}${item.label}, ${item.description}`) };
    return item;
  }

  #item(node: ClusterNode): vscode.TreeItem {
    const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
    switch (node.kind) {
      case 'cluster': {
        const cluster = this.#cluster(node);
        const item = new vscode.TreeItem(oneLine(node.name), Expanded);
        item.description = cluster ? oneLine(clusterText(cluster)) : '';
        item.iconPath = cluster?.problem
          ? new vscode.ThemeIcon('warning', new vscode.ThemeColor('list.warningForeground'))
          : new vscode.ThemeIcon('server-environment');
        item.tooltip = cluster && oneLine(cluster.problem ?? placeOf(cluster));
        return item;
      }
      case 'clusterRun': {
        const run = this.#runs.project(node.root)?.runs.get(node.id);
        if (!run) return new vscode.TreeItem('(gone)', None);
        const look = lookOfRun(run, Date.now());
        const item = new vscode.TreeItem(oneLine(run.name), None);
        item.description = oneLine(look.description);
        item.iconPath = new vscode.ThemeIcon(look.icon, look.color ? new vscode.ThemeColor(look.color) : undefined);
        item.tooltip = oneLine(engineText(run));
        item.command = {
          command: 'trainstash.openRun',
          title: 'Open',
          arguments: [{ kind: 'run', root: node.root, id: node.id }, true],
        };
        return item;
      }
      case 'queue': {
        const load = this.#cluster(node)?.load;
        const item = new vscode.TreeItem('Queue', (load?.queue.length ?? 0) > 0 ? Collapsed : None);
        item.description = load ? `${integer(load.running)} running · ${integer(load.pending)} waiting` : '';
        item.iconPath = new vscode.ThemeIcon('list-ordered');
        return item;
      }
      case 'nodes': {
        const load = this.#cluster(node)?.load;
        const item = new vscode.TreeItem('Nodes', (load?.nodes.length ?? 0) > 0 ? Collapsed : None);
        const hidden = load ? load.nodeCount - load.nodes.length : 0;
        item.description = load
          ? [integer(load.nodeCount), hidden > 0 ? `the first ${integer(load.nodes.length)} are shown` : '']
              .filter(Boolean)
              .join(' · ')
          : '';
        item.iconPath = new vscode.ThemeIcon('server');
        return item;
      }
      case 'job': {
        const { job, user, name, phase, reason, nodes } = node.job;
        const item = new vscode.TreeItem(oneLine(`${job} ${name}`), None);
        const state = phase === 'running' ? `on ${nodes}` : `waits${reason ? `: ${reason}` : ''}`;
        item.description = oneLine(`${state} · ${user}`);
        item.iconPath =
          phase === 'running'
            ? new vscode.ThemeIcon('pulse', new vscode.ThemeColor('charts.green'))
            : new vscode.ThemeIcon('clock');
        return item;
      }
      case 'node': {
        const { name, state, gpus, freeGpus, isUsable } = node.node;
        const item = new vscode.TreeItem(oneLine(name), None);
        item.description = oneLine([gpus > 0 ? gpuText(freeGpus, gpus) : '', state].filter(Boolean).join(' · '));
        item.iconPath = isUsable
          ? new vscode.ThemeIcon('vm')
          : new vscode.ThemeIcon('vm-outline', new vscode.ThemeColor('list.warningForeground'));
        return item;
      }
    }
  }

  #cluster({ root, name }: { root: string; name: string }): Cluster | undefined {
    return this.#clusters.clusters.find((one) => one.root === root && one.engine.name === name);
  }

  #runsOn(root: string, name: string): Run[] {
    const runs = [...(this.#runs.project(root)?.runs.values() ?? [])];
    return runs
      .filter(({ engine, status }) => engine?.name === name && LIVE_STATUSES.includes(status))
      .sort((a, b) => b.number - a.number);
  }
}

/** Words for screen readers in front of a row's label. */
const WORDS: Readonly<Record<ClusterNode['kind'], string>> = {
  cluster: 'cluster ',
  clusterRun: 'run ',
  queue: '',
  nodes: '',
  job: 'job ',
  node: 'node ',
};

function idOf(node: ClusterNode): string {
  const { kind, root } = node;
  if (kind === 'clusterRun') return `${kind} ${root} ${node.id}`;
  if (kind === 'job') return `${kind} ${root} ${node.name} ${node.job.job}`;
  return `${kind} ${root} ${node.name} ${kind === 'node' ? node.node.name : ''}`;
}

function gpuText(free: number, all: number): string {
  return `${integer(free)} of ${counted(all, 'GPU')} free`;
}

function clusterText({ engine, load, problem }: Cluster): string {
  const type = TYPES[engine.type];
  if (problem !== null) return `${type} · not reached`;
  if (load === undefined) return `${type} · asking…`;
  if (load === null) return [type, counted(engine.runs, 'run')].join(' · ');
  return [
    type,
    load.gpus > 0 ? gpuText(load.freeGpus, load.gpus) : counted(load.nodeCount, 'node'),
    load.pending > 0 ? `${integer(load.pending)} waiting` : '',
  ]
    .filter(Boolean)
    .join(' · ');
}

function placeOf({ engine: { host, folder } }: Cluster): string {
  return `on ${host ?? 'this machine'}, in ${folder ?? 'no folder'}`;
}

/** Registers the view. It asks clusters while it is visible. */
export function registerClusters(context: vscode.ExtensionContext, clusters: ClustersModel, runs: Model): ClustersTree {
  const tree = new ClustersTree(clusters, runs);
  const view = vscode.window.createTreeView('trainstash.clusters', { treeDataProvider: tree });
  view.onDidChangeVisibility(({ visible }) => clusters.watch(visible));
  clusters.watch(view.visible);
  context.subscriptions.push(clusters, tree, view);
  return tree;
}
