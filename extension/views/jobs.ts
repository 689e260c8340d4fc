/** Tree of the jobs in trainstash.json, of every open project: job → its params. */
import * as vscode from 'vscode';
import type { Connection } from '../../pages/connection.ts';
import type { ParamValue } from '../../protocol/domain.ts';
import { type JobSummary, projectJobs } from '../../protocol/messages/project.ts';
import type { Model } from '../core/model.ts';
import { oneLine } from '../core/text.ts';

export interface JobNode {
  root: string;
  job: JobSummary;
}

export interface ParamNode {
  name: string;
  value: ParamValue;
}

export class JobsTree implements vscode.TreeDataProvider<JobNode | ParamNode> {
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

  async getChildren(node?: JobNode | ParamNode): Promise<(JobNode | ParamNode)[]> {
    if (node) return 'job' in node ? Object.entries(node.job.params).map(([name, value]) => ({ name, value })) : [];
    const lists = await Promise.all(
      this.#model.projects.map(({ project }) =>
        jobsOf((params) => this.#connection.poll(projectJobs, params), project.root),
      ),
    );
    return lists.flat();
  }

  getTreeItem(node: JobNode | ParamNode): vscode.TreeItem {
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    if (!('job' in node)) {
      const item = new vscode.TreeItem(oneLine(node.name), None);
      item.description = oneLine(typeof node.value === 'string' ? node.value : JSON.stringify(node.value));
      item.iconPath = new vscode.ThemeIcon('symbol-parameter');
      return item;
    }
    const { root, job } = node;
    const item = new vscode.TreeItem(oneLine(job.name), Object.keys(job.params).length > 0 ? Collapsed : None);
    item.id = `${root} ${job.name}`;
    item.description = oneLine(job.what);
    item.tooltip = oneLine(job.what);
    item.iconPath = new vscode.ThemeIcon('beaker');
    item.contextValue = job.python ? 'job python' : 'job';
    item.accessibilityInformation = { label: oneLine(`job ${job.name}, ${job.what}`) };
    return item;
  }

  dispose(): void {
    this.#changed.dispose();
  }
}

type ReadJobs = (params: { root: string }) => Promise<{ jobs: JobSummary[] }>;

/** Reads the jobs; none if trainstash.json has a mistake, which running a job reports. */
export async function jobsOf(read: ReadJobs, root: string): Promise<JobNode[]> {
  const { jobs } = await read({ root }).catch(() => ({ jobs: [] }));
  return jobs.map((job) => ({ root, job }));
}
