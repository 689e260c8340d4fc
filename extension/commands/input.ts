/** Input and progress that several commands share. */
import * as vscode from 'vscode';
import type { Params } from '../../protocol/domain.ts';
import { plain } from '../core/text.ts';

/** Parses `key=value` pairs; values are JSON, or else text. `problem` names the first word that is no pair. */
export function parseParams(text: string): { params: Params; problem: string | null } {
  const params: Params = {};
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const at = word.indexOf('=');
    if (at < 1) return { params, problem: `"${word}" is not key=value` };
    const value = word.slice(at + 1);
    try {
      params[word.slice(0, at)] = JSON.parse(value);
    } catch {
      params[word.slice(0, at)] = value;
    }
  }
  return { params, problem: null };
}

/** Shows a title in the status bar while work is done. */
export function withProgress<T>(title: string, work: () => Promise<T>): Promise<T> {
  return Promise.resolve(
    vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: plain(title) }, work),
  );
}
