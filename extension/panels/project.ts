/** Gives the controllers of pages the project that they are about. */
import * as vscode from 'vscode';
import type { PageProject } from '../../pages/host.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import type { App } from '../core/app.ts';

export function projectOf(app: App, root: string): PageProject {
  const { connection, model } = app;
  return {
    root,
    connection,
    runs: {
      get: (id) => model.project(root)?.runs.get(id),
      all: () => model.project(root)?.runs.values() ?? [],
      know: (run) => model.know(root, run),
    },
    // A page that came back with its window may be about a folder that is not open in it, which is then not trusted.
    async open() {
      const trusted = model.project(root) !== undefined && vscode.workspace.isTrusted;
      return (await connection.request(projectOpen, { root, trusted, watch: true })).store;
    },
  };
}
