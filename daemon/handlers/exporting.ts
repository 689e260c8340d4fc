/** The context that exports and promotions share. */
import type { Daemon } from '../daemon.ts';
import type { ExportContext } from '../export/source.ts';
import type { OpenProject } from '../runs/project.ts';
import type { Access } from './handling.ts';

export function exportContext(daemon: Daemon, access: Access, root: string, opened: OpenProject): ExportContext {
  const findCheckpoint = (query: string) => opened.findCheckpoint(query);
  const { contentWorkers } = daemon;
  return { ...opened.context, contentWorkers, findCheckpoint, requireTrust: () => access.requireTrust(root) };
}
