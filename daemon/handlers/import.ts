/** Handlers of the messages about the history of other tools. */
import { importPlan, importRun } from '../../protocol/messages/import.ts';
import { Imports } from '../imports/imports.ts';
import type { OpenProject } from '../runs/project.ts';
import type { Handling } from './handling.ts';

export function importHandlers({ on, daemon, access }: Handling): void {
  const open = new WeakMap<OpenProject, Imports>();
  const importsOf = (project: OpenProject) => {
    const known = open.get(project) ?? new Imports(project, daemon.importer);
    open.set(project, known);
    return known;
  };
  on(importPlan, 'changes', async ({ root, paths }, _client, task) =>
    importsOf(await access.accepted(root)).plan({ paths }, task),
  );
  on(importRun, 'changes', async ({ root, paths, metricsOnly = false, job }, _client, task) =>
    importsOf(await access.accepted(root)).run({ paths, metricsOnly, job }, task),
  );
}
