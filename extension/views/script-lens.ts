/** Code lenses above a script: run it, or resume its newest run, however that was started. */
import { relative, sep } from 'node:path';
import * as vscode from 'vscode';
import type { Connection } from '../../pages/connection.ts';
import type { Run } from '../../protocol/domain.ts';
import { projectJobs } from '../../protocol/messages/project.ts';
import type { Model } from '../core/model.ts';
import { lensOf, plain } from '../core/text.ts';
import { type JobNode, jobsOf } from './jobs.ts';

interface ScriptRuns {
  root: string;
  /** Runs of the script on the current branch, the newest first. */
  runs: Run[];
  /** Jobs that run the script. */
  jobs: JobNode[];
}

export class ScriptLens implements vscode.CodeLensProvider {
  readonly #model: Model;
  readonly #connection: Connection;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.#changed.event;

  constructor(model: Model, connection: Connection) {
    this.#model = model;
    this.#connection = connection;
  }

  redraw(): void {
    this.#changed.fire();
  }

  dispose(): void {
    this.#changed.dispose();
  }

  /** Returns lenses only for scripts with known runs: above other files they would be noise. */
  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    const { uri } = document;
    // Above a script that uses the package the language server draws them, at the call that starts it.
    if (uri.scheme === 'file' && document.languageId === 'python' && document.getText().includes('trainstash'))
      return [];
    const found = await this.#runsOf(uri.fsPath);
    if (!found) return [];
    const { root, runs, jobs } = found;
    const { resume, best } = lensOf(runs);
    const top = new vscode.Range(0, 0, 0, 0);
    // The newest run says how the script is started here.
    const job = jobs.find((node) => runs[0]!.command === null && node.job.name === runs[0]!.job);
    const lenses = [
      new vscode.CodeLens(top, {
        title: job ? `$(play) Run ${plain(job.job.name)}` : '$(play) Run',
        command: job ? 'trainstash.run' : 'trainstash.runFile',
        arguments: [job ?? uri],
      }),
    ];
    if (resume) {
      const node = { kind: 'run', root, id: resume.run.id };
      lenses.push(new vscode.CodeLens(top, { title: resume.title, command: 'trainstash.resume', arguments: [node] }));
    }
    if (best) {
      const node = { kind: 'run', root, id: runs.find(({ draft }) => !draft)!.id };
      lenses.push(new vscode.CodeLens(top, { title: plain(best), command: 'trainstash.reveal', arguments: [node] }));
    }
    return lenses;
  }

  /** Returns the runs that were started from this file; null: there are none. */
  async #runsOf(path: string): Promise<ScriptRuns | null> {
    for (const { project, runs } of this.#model.projects) {
      const { root, branch: current } = project;
      const inside = relative(root, path).split(sep).join('/');
      if (inside.startsWith('..') || runs.size === 0) continue;
      const nodes = await jobsOf((params) => this.#connection.poll(projectJobs, params), root);
      const jobs = nodes.filter(({ job }) => job.script === inside);
      const own = [...runs.values()].filter(({ command, job, branch }) => {
        if (branch !== current) return false;
        if (!command) return jobs.some((node) => node.job.name === job);
        const folder = command.cwd === '' ? '' : `${command.cwd}/`;
        return command.words.some((word) => `${folder}${word}` === inside);
      });
      if (own.length > 0) return { root, runs: own.sort((a, b) => b.number - a.number), jobs };
    }
    return null;
  }
}
