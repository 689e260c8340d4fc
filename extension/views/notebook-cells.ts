/** Status of a run on the cell of a notebook that makes it; a click opens the run's page. */
import { relative, sep } from 'node:path';
import * as vscode from 'vscode';
import type { Run } from '../../protocol/domain.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import type { Model } from '../core/model.ts';
import { lookOfRun, oneLine, plain } from '../core/text.ts';

const STARTS = /\btrainstash\.(init|attach|keras|paddle)\(/;

export class NotebookCells implements vscode.NotebookCellStatusBarItemProvider {
  readonly #model: Model;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCellStatusBarItems = this.#changed.event;

  constructor(model: Model) {
    this.#model = model;
  }

  redraw(): void {
    this.#changed.fire();
  }

  dispose(): void {
    this.#changed.dispose();
  }

  provideCellStatusBarItems({ document, notebook }: vscode.NotebookCell): vscode.NotebookCellStatusBarItem[] {
    if (document.languageId !== 'python' || !STARTS.test(document.getText())) return [];
    const found = this.#newestOf(notebook.uri.fsPath);
    if (!found) return [];
    const { root, run } = found;
    const item = (text: string, command: string, title: string) => {
      const made = new vscode.NotebookCellStatusBarItem(text, vscode.NotebookCellStatusBarAlignment.Left);
      made.command = { command, title, arguments: [{ kind: 'run', root, id: run.id }] };
      made.tooltip = oneLine(title);
      return made;
    };
    const { description } = lookOfRun(run, Date.now());
    const status = run.status === 'completed' || run.status === 'running' ? `${run.status} · ` : '';
    const shown = item(
      `$(graph-line) ${plain(run.name)} ${status}${description}`,
      'trainstash.openRun',
      'Open the Run',
    );
    const isLive = LIVE_STATUSES.includes(run.status) && run.cooperative;
    return isLive
      ? [shown, item('$(debug-pause) Pause', 'trainstash.pause', 'Pause the Run after This Step')]
      : [shown];
  }

  /** Finds the newest run of a notebook on the current branch. */
  #newestOf(path: string): { root: string; run: Run } | null {
    for (const { project, runs } of this.#model.projects) {
      const inside = relative(project.root, path).split(sep).join('/');
      const own = [...runs.values()].filter(({ command, branch }) => {
        if (!command || branch !== project.branch) return false;
        const folder = command.cwd === '' ? '' : `${command.cwd}/`;
        return `${folder}${command.words.at(-1)}` === inside;
      });
      const newest = own.toSorted((a, b) => b.number - a.number)[0];
      if (newest) return { root: project.root, run: newest };
    }
    return null;
  }
}
