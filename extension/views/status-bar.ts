/** The item in the status bar: drawn at most once a second, hidden when there is nothing to say. */
import * as vscode from 'vscode';
import type { Connection } from '../../pages/connection.ts';
import type { Run } from '../../protocol/domain.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { duration, integer } from '../../protocol/words.ts';
import type { Model } from '../core/model.ts';
import { curveSvg } from '../core/sparkline.ts';
import { oneLine, type StatusText, statusOf } from '../core/text.ts';
import { Throttle } from '../core/throttle.ts';

const DRAW_MS = 1_000;
const CURVE_MS = 5_000;
const CURVE_POINTS = 60;

export class StatusBar {
  readonly #item: vscode.StatusBarItem;
  readonly #model: Model;
  readonly #connection: Connection;
  readonly #seen = new Set<string>();
  /** Time from which on failures are news: those from before this window are not. */
  readonly #since = Date.now();
  #shown: StatusText | null = null;
  readonly #throttle = new Throttle(DRAW_MS, () => this.#draw());
  #curve: { run: string; at: number; svg: string } | null = null;

  constructor(model: Model, connection: Connection) {
    this.#model = model;
    this.#connection = connection;
    this.#item = vscode.window.createStatusBarItem('trainstash.status', vscode.StatusBarAlignment.Left, 5);
    this.#item.name = 'Trainstash';
  }

  /** Content of the item. */
  get shown(): StatusText | null {
    return this.#shown;
  }

  /** Marks a run's failure as seen, so that it is no longer shown. */
  markSeen(run: string): void {
    this.#seen.add(run);
    this.redraw();
  }

  redraw(): void {
    this.#throttle.request();
  }

  dispose(): void {
    this.#throttle.dispose();
    this.#item.dispose();
  }

  #draw(): void {
    const runs = this.#model.projects.flatMap((mirror) => {
      const onBranch = mirror.runsOf(mirror.project.branch);
      return [...new Set([...mirror.liveRuns(), ...onBranch])];
    });
    const recent = runs.filter(({ status, endedAt }) => status === 'paused' || (endedAt ?? Infinity) > this.#since);
    this.#shown = statusOf(recent, this.#seen, Date.now());
    const waits =
      this.#model.projects.map(({ project }) => project.switchWaits).find((reason) => reason !== null) ?? null;
    if (!this.#shown) {
      if (waits === null) this.#item.hide();
      else this.#drawWaits(waits);
      return;
    }
    const { text, level, run, click } = this.#shown;
    this.#item.text = waits === null ? text : `${text} · $(git-branch) files wait`;
    this.#item.backgroundColor =
      level === 'normal' ? undefined : new vscode.ThemeColor(`statusBarItem.${level}Background`);
    this.#item.command = 'trainstash.fromStatus';
    this.#item.accessibilityInformation = { label: oneLine(`Trainstash: ${run.name}, ${run.status}`), role: 'button' };
    this.#item.tooltip = this.#tooltip(run, click, waits);
    this.#item.show();
    // Times in the text go on while nothing else changes.
    if (level === 'warning' || text.includes('$(verified)')) setTimeout(() => this.redraw(), DRAW_MS).unref();
    if (run.status === 'running') void this.#drawCurve(run);
  }

  /** Shows that a switch waits although no known run is live: another process has a file open. */
  #drawWaits(waits: string): void {
    this.#item.text = '$(git-branch) files wait';
    this.#item.backgroundColor = undefined;
    this.#item.command = 'trainstash.sync';
    this.#item.accessibilityInformation = { label: oneLine(`Trainstash: files wait for ${waits}`), role: 'button' };
    this.#item.tooltip = waitsText(waits);
    this.#item.show();
  }

  #tooltip(run: Run, click: StatusText['click'], waits: string | null): vscode.MarkdownString {
    const text = new vscode.MarkdownString(undefined, true);
    text.isTrusted = {
      enabledCommands: ['trainstash.pause', 'trainstash.checkpoint', 'trainstash.log', 'trainstash.resumeLast'],
    };
    text.appendMarkdown('**').appendText(oneLine(run.name)).appendMarkdown('** ');
    text.appendText(
      `${run.status} · step ${integer(run.step)}${run.totalSteps ? ` of ${integer(run.totalSteps)}` : ''}`,
    );
    if (run.etaSeconds !== null) text.appendText(` · ${duration(run.etaSeconds)} left`);
    if (this.#curve?.run === run.id && this.#curve.svg)
      text.appendMarkdown(`\n\n![loss](data:image/svg+xml;base64,${Buffer.from(this.#curve.svg).toString('base64')})`);
    if (run.reason) text.appendMarkdown('\n\n').appendText(oneLine(run.reason));
    if (waits !== null) text.appendMarkdown('\n\n$(git-branch) ').appendText(waitsText(waits));
    const actions =
      click === 'resume'
        ? '[$(debug-continue) Resume](command:trainstash.resumeLast)'
        : run.status === 'running'
          ? '[$(debug-pause) Pause](command:trainstash.pause) · [$(save) Checkpoint now](command:trainstash.checkpoint)'
          : '';
    text.appendMarkdown(`\n\n${[actions, '[$(terminal) Log](command:trainstash.log)'].filter(Boolean).join(' · ')}`);
    return text;
  }

  async #drawCurve(run: Run): Promise<void> {
    if (this.#curve?.run === run.id && Date.now() - this.#curve.at < CURVE_MS) return;
    const root = this.#model.projects.find(({ runs }) => runs.has(run.id))?.project.root;
    if (!root) return;
    this.#curve = { run: run.id, at: Date.now(), svg: this.#curve?.run === run.id ? this.#curve.svg : '' };
    const query = { root, run: run.id, names: ['loss'], buckets: CURVE_POINTS };
    const answer = await this.#connection.poll(metricsQuery, query).catch(() => null);
    const svg = answer?.series[0] && curveSvg(answer.series[0].values);
    if (svg) this.#curve = { run: run.id, at: Date.now(), svg };
  }
}

function waitsText(waits: string): string {
  return oneLine(
    `The branch was switched. The files of the previous one stay until these have ended or paused: ${waits}.`,
  );
}
