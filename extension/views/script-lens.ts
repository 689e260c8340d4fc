/** Code lenses above a Python script: run it, or resume its newest run. */
import { relative, sep } from 'node:path';
import * as vscode from 'vscode';
import type { Run } from '../../protocol/domain.ts';
import type { Model } from '../core/model.ts';
import { lensOf, plain } from '../core/text.ts';

export class ScriptLens implements vscode.CodeLensProvider {
  readonly #model: Model;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.#changed.event;

  constructor(model: Model) {
    this.#model = model;
  }

  redraw(): void {
    this.#changed.fire();
  }

  dispose(): void {
    this.#changed.dispose();
  }

  /** Returns lenses only for scripts with known runs: above other files they would be noise. */
  provideCodeLenses({ uri }: vscode.TextDocument): vscode.CodeLens[] {
    const found = this.#runsOf(uri.fsPath);
    if (!found) return [];
    const { root, runs } = found;
    const { resume, best } = lensOf(runs);
    const top = new vscode.Range(0, 0, 0, 0);
    const lenses = [
      new vscode.CodeLens(top, { title: '$(play) Run', command: 'trainstash.runFile', arguments: [uri] }),
    ];
    if (resume) {
      const node = { kind: 'run', root, id: resume.run.id };
      lenses.push(new vscode.CodeLens(top, { title: resume.title, command: 'trainstash.resume', arguments: [node] }));
    }
    if (best) lenses.push(new vscode.CodeLens(top, { title: plain(best), command: 'trainstash.runs.focus' }));
    return lenses;
  }

  /** Returns the runs that were started from this file, the newest first; null: there are none. */
  #runsOf(path: string): { root: string; runs: Run[] } | null {
    for (const { project, runs } of this.#model.projects) {
      const inside = relative(project.root, path).split(sep).join('/');
      if (inside.startsWith('..')) continue;
      const own = [...runs.values()].filter(({ command, branch }) => {
        const script = command && [command.cwd, '/'].join('').replace(/^\/$/, '');
        return branch === project.branch && command?.words.some((word) => `${script}${word}` === inside);
      });
      if (own.length > 0) return { root: project.root, runs: own.sort((a, b) => b.number - a.number) };
    }
    return null;
  }
}
