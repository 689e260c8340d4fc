/** Shows toasts: only those that are worth an interruption, and only in the focused window. */
import * as vscode from 'vscode';
import { TOLD_CODES } from '../protocol/alerts.ts';
import type { Notice, Run } from '../protocol/domain.ts';
import { isCrash, LIVE_STATUSES } from '../protocol/status.ts';
import { bestText, duration, resumeWords } from '../protocol/words.ts';
import { plain } from './core/text.ts';

const LONG_RUN_MS = 300_000;
const TRYING_SHOWN_MS = 10_000;
const BRANCH_NOTICES = new Set([
  'askFollow',
  'switched',
  'switchWaits',
  'switchFailed',
  'vanished',
  'replaced',
  'stashOffered',
  'canResume',
]);
const WARNINGS = { warning: vscode.window.showWarningMessage, error: vscode.window.showErrorMessage };
const TROUBLE: ReadonlySet<string> = new Set([...TOLD_CODES, 'rehearsed', 'quota']);

export interface NoticeLinks {
  /** Returns the root of a run's project. */
  rootOf(run: Run): string;
  /** Answers the question that is asked once per project. */
  answerFollow(root: string, follow: boolean): unknown;
}

export class Notices {
  readonly #links: NoticeLinks;
  /** Last status of each run, so that only changes are reported. */
  readonly #statuses = new Map<string, Run['status']>();

  constructor(links: NoticeLinks) {
    this.#links = links;
  }

  run(run: Run): void {
    const before = this.#statuses.get(run.id);
    this.#statuses.set(run.id, run.status);
    const wasLive = before !== undefined && LIVE_STATUSES.includes(before);
    if (!wasLive || LIVE_STATUSES.includes(run.status) || !isFocused()) return;
    const name = plain(run.name);
    if (isCrash(run.status) && wants('failed')) {
      const words = resumeWords(run);
      const kept = words ? ` A resume ${words}.` : ' It had no checkpoint yet.';
      const actions = words && run.failure !== 'stateMismatch' ? ['Resume', 'Log'] : ['Log'];
      void this.#tell('error', `${name} ${run.status}: ${plain(run.reason)}.${kept}`, run, actions);
    }
    const took = (run.endedAt ?? Date.now()) - (run.startedAt ?? run.createdAt);
    if (run.status === 'completed' && took > LONG_RUN_MS && wants('finished'))
      void this.#tell('info', `${name} has finished after ${duration(took / 1000)}: ${bestText(run)}`, run, ['Log']);
  }

  notice(root: string, run: Run | null, notice: Notice): void {
    if (notice.code === 'tryingBackends') vscode.window.setStatusBarMessage(plain(notice.text), TRYING_SHOWN_MS);
    if (isFocused() && BRANCH_NOTICES.has(notice.code)) void this.#tellOfBranch(root, run, notice);
    if (!TROUBLE.has(notice.code) || notice.level === 'info' || !wants('trouble') || !isFocused()) return;
    const about = run ? `${plain(run.name)}: ` : '';
    void this.#tell('warning', `${about}${plain(notice.text)}`, run, run ? ['Log'] : []);
  }

  /** Reports the outcome or the question of a branch switch. */
  async #tellOfBranch(root: string, run: Run | null, { code, level, text }: Notice): Promise<void> {
    if (code !== 'askFollow' && code !== 'canResume' && !wants('branches')) return;
    const show = { info: vscode.window.showInformationMessage, ...WARNINGS }[level];
    const actions: Record<string, () => unknown> = {};
    const resume = () => vscode.commands.executeCommand('trainstash.resume', { kind: 'run', root, id: run?.id });
    // A user setting, never the project's: only the person at this machine decides what starts automatically.
    const onReturn = vscode.workspace.getConfiguration('trainstash').get<string>('onReturn', 'offer');
    if (code === 'canResume' && run && onReturn !== 'offer') return void (onReturn === 'resume' && (await resume()));
    if (code === 'askFollow') {
      actions['Follow Branches'] = () => this.#links.answerFollow(root, true);
      actions['Leave Files in Place'] = () => this.#links.answerFollow(root, false);
    }
    if (code === 'canResume' && run) actions.Resume = resume;
    if (code === 'switchWaits')
      actions['Pause and Free the Device'] = () => vscode.commands.executeCommand('trainstash.pause');
    if (code === 'vanished' || code === 'replaced' || code === 'stashOffered')
      actions['Show Stashes'] = () => vscode.commands.executeCommand('trainstash.stashes.focus');
    const chosen = await show(plain(text), ...Object.keys(actions));
    if (chosen) await actions[chosen]!();
  }

  async #tell(level: 'info' | 'warning' | 'error', text: string, run: Run | null, actions: string[]): Promise<void> {
    const show = {
      info: vscode.window.showInformationMessage,
      warning: vscode.window.showWarningMessage,
      error: vscode.window.showErrorMessage,
    }[level];
    const chosen = await show(text, ...actions);
    if (chosen && run)
      await vscode.commands.executeCommand(chosen === 'Resume' ? 'trainstash.resume' : 'trainstash.log', {
        kind: 'run',
        root: this.#links.rootOf(run),
        id: run.id,
      });
  }
}

/** Tells whether this window has the focus: several windows may show one project, and only the front one reports. */
function isFocused(): boolean {
  return vscode.window.state.focused;
}

function wants(kind: 'failed' | 'finished' | 'trouble' | 'branches'): boolean {
  return vscode.workspace.getConfiguration('trainstash.notify').get<boolean>(kind, true);
}
