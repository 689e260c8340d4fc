/** Commands for what a person writes to a run: its name and note. */
import * as vscode from 'vscode';
import { runUpdate } from '../../protocol/messages/run.ts';
import type { App, Commands } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { runTarget } from './targets.ts';

export const noteCommands = { rename, note, copyId } satisfies Commands;

async function rename(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'rename');
  if (!target) return;
  const name = await vscode.window.showInputBox({ title: 'Name of the run', value: target.run.name });
  if (name?.trim()) await app.connection.request(runUpdate, { root: target.root, run: target.run.id, name });
}

async function note(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'write a note to');
  if (!target) return;
  const title = `Note to ${plain(target.run.name)}`;
  const note = await vscode.window.showInputBox({ title, value: target.run.note });
  if (note !== undefined) await app.connection.request(runUpdate, { root: target.root, run: target.run.id, note });
}

async function copyId(_app: App, node: Node): Promise<void> {
  const id = node.kind === 'checkpoint' ? node.checkpoint.id : node.kind === 'run' ? node.id : '';
  if (id) await vscode.env.clipboard.writeText(id);
}
