/** The jobs of trainstash.json, of every open project. */
import * as vscode from 'vscode';
import { type JobSummary, projectJobs } from '../../protocol/messages.ts';
import type { Connection } from '../connection.ts';
import type { Model } from '../model.ts';

export interface JobNode {
  root: string;
  job: JobSummary;
}

export class JobsTree implements vscode.TreeDataProvider<JobNode> {
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

  async getChildren(node?: JobNode): Promise<JobNode[]> {
    if (node) return [];
    const lists = await Promise.all(this.#model.projects.map(({ project }) => jobsOf(this.#connection, project.root)));
    return lists.flat();
  }

  getTreeItem({ root, job }: JobNode): vscode.TreeItem {
    const item = new vscode.TreeItem(job.name);
    item.id = `${root} ${job.name}`;
    item.description = job.what;
    item.iconPath = new vscode.ThemeIcon('beaker');
    item.contextValue = 'job';
    return item;
  }

  dispose(): void {
    this.#changed.dispose();
  }
}

/** None when trainstash.json has a mistake: running a job tells it. */
export async function jobsOf(connection: Connection, root: string): Promise<JobNode[]> {
  const { jobs } = await connection.request(projectJobs, { root }).catch(() => ({ jobs: [] }));
  return jobs.map((job) => ({ root, job }));
}
