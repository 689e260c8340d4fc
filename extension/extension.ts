/**
 * Entry of the extension: a window's visible parts. What is only needed for actions is in `actions.ts`, a bundle of its own:
 * compiling our code is the largest cost while a window opens.
 */
import { delimiter, join } from 'node:path';
import type * as vscode from 'vscode';
import { TrainstashWindow } from './window.ts';

export function activate(context: vscode.ExtensionContext): Promise<void> {
  const dist = join(context.extensionPath, 'dist');
  offerCommandLine(context, dist);
  return new TrainstashWindow(context, dist).start();
}

/** Does nothing: everything is disposed with the context; trainings and the daemon continue. */
export function deactivate(): void {}

/** Offers `trainstash` in terminals, after an installed one on the PATH. */
function offerCommandLine({ environmentVariableCollection: variables }: vscode.ExtensionContext, dist: string): void {
  variables.persistent = false;
  variables.description = 'The command `trainstash`.';
  variables.append('PATH', `${delimiter}${join(dist, 'bin')}`);
  variables.replace('TRAINSTASH_EDITOR_NODE', process.execPath);
}
