/** Handlers of the messages about the history of other tools. */
import { join, sep } from 'node:path';
import { importPlan, importRun } from '../../protocol/messages/import.ts';
import { Imports } from '../imports/imports.ts';
import { pythonsFor } from '../runs/launch/interpreter.ts';
import type { OpenProject } from '../runs/project.ts';
import type { Handling } from './handling.ts';

export function importHandlers({ on, daemon, access }: Handling): void {
  const open = new WeakMap<OpenProject, Imports>();
  const importsOf = (project: OpenProject) => {
    const known = open.get(project) ?? new Imports(project, daemon.importer);
    open.set(project, known);
    return known;
  };
  const shellOf = async (given: string, environment: Record<string, string> = {}, interpreter?: string) => {
    const root = await daemon.rootOf(given);
    const where = { cwd: root, root, environment, ...(interpreter === undefined ? {} : { interpreter }) };
    // A Python in the folder itself is code of the folder.
    const mayRun = (python: string) => daemon.isTrusted(root) || !python.startsWith(join(root, sep));
    return { environment, pythons: [...new Set(pythonsFor(null, where).filter(mayRun))] };
  };
  on(importPlan, 'changes', async ({ root, paths, environment, interpreter }, _client, task) => {
    const imports = importsOf(await access.accepted(root));
    return imports.plan({ paths, ...(await shellOf(root, environment, interpreter)) }, task);
  });
  on(importRun, 'changes', async ({ root, paths, metricsOnly = false, job, ...shell }, _client, task) => {
    const imports = importsOf(await access.accepted(root));
    const { environment, pythons } = await shellOf(root, shell.environment, shell.interpreter);
    return imports.run({ paths, metricsOnly, job, environment, pythons }, task);
  });
}
