/** The editor's dialogs and messages for questions that pages and commands share. */
import * as vscode from 'vscode';
import type { Asks } from '../../pages/run-flows.ts';
import { plain } from './text.ts';

export const editorAsks: Asks = {
  async confirm(title, detail, yes) {
    const options = { modal: true, detail: plain(detail) };
    return (await vscode.window.showWarningMessage(plain(title), options, yes)) === yes;
  },
  async offer(text, button) {
    return (await vscode.window.showInformationMessage(plain(text), button)) === button;
  },
  warn(text) {
    void vscode.window.showWarningMessage(plain(text));
  },
};
