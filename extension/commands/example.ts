/** "Train the Example": trains the bundled digits in a copy, which this window then shows beside its folders. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { runStart } from '../../protocol/messages/run.ts';
import { type App, command, launchFrom } from '../core/app.ts';
import { withProgress } from './input.ts';
import { isLive } from './targets.ts';

const JOB = 'digits';
const GIT_MS = 10_000;
const IDENTITY = ['-c', 'user.name=Trainstash', '-c', 'user.email=example@trainstash.invalid'];

/** The copy of the example and its place in this window. */
export interface Example {
  folder: string;
  /** Shows its project in this window, also after a reload, or no longer; the copy stays. */
  show(shown: boolean): Promise<void>;
}

export function registerExample(app: App, context: vscode.ExtensionContext, { folder, show }: Example): void {
  command(app, context, 'example', async () => {
    await withProgress('Starting the example', async () => {
      await copyExample(join(app.dist, 'example'), folder);
      await show(true);
      // A second press shows the run that the first one started.
      if (app.model.project(folder)?.liveRuns().some(isLive)) return;
      await app.connection.request(runStart, { root: folder, job: JOB, params: {}, ...(await launchFrom(folder)) });
    });
    await vscode.commands.executeCommand('trainstash.dashboard', { kind: 'project', root: folder });
  });
  command(app, context, 'closeExample', () => show(false));
}

/** Makes the copy, a git repository of its own: else a repository above it would get the store. Keeps one that is there. */
async function copyExample(from: string, folder: string): Promise<void> {
  if (existsSync(join(folder, 'trainstash.json'))) return;
  await cp(from, folder, { recursive: true });
  for (const words of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    [...IDENTITY, 'commit', '-qm', 'Digits'],
  ])
    if (!(await git(folder, words))) return;
}

/** Returns false where git is missing or fails: the example trains without it, too. */
function git(cwd: string, words: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('git', words, { cwd, timeout: GIT_MS }, (error) => resolve(error === null));
  });
}
