/** Watches a run until it ends: with a line that updates itself in a terminal, with a line now and then elsewhere. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../client/connect.ts';
import { nextLogPage } from '../client/follow-log.ts';
import type { Run } from '../protocol/domain.ts';
import { logRead } from '../protocol/messages/metrics.ts';
import { noticeRaised, runChanged, runShow } from '../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import { Bars } from './bars.ts';
import { paint, safe } from './format.ts';
import { draw } from './output.ts';
import { progressLine } from './views.ts';

const POLL_MS = 1_000;
const DRAW_MS = 100;
const PLAIN_LINE_MS = 5_000;

export interface FollowOptions {
  reconnect(): Promise<Client>;
  root: string;
  /** Width of the terminal. */
  width: number;
  isTerminal: boolean;
  write(text: string): void;
  /** Promise that ends the watch when it settles (Ctrl-C). */
  detached: Promise<void>;
  until(run: Run): boolean;
}

/** Follows a run. Returns it in its final state, or in its state at the moment of detaching. */
export async function followRun(client: Client, start: Run, options: FollowOptions): Promise<Run> {
  const { write, isTerminal, width } = options;
  let run = start;
  let drawn = '';
  let drawnAt = 0;
  let connection = client;
  let over = false;
  void options.detached.then(() => {
    over = true;
  });
  const clear = () => {
    if (isTerminal && drawn) draw('', 'stdout');
    drawn = '';
  };
  const show = (force = false) => {
    const now = Date.now();
    if (!force && now - drawnAt < (isTerminal ? DRAW_MS : PLAIN_LINE_MS)) return;
    const line = progressLine(run, width - 1);
    if (line === drawn) return;
    drawnAt = now;
    if (isTerminal) draw(line, 'stdout');
    else write(`${line}\n`);
    drawn = line;
  };
  const listen = (target: Client) => {
    target.on(runChanged, ({ run: changed }) => {
      if (changed.id !== run.id || over) return;
      run = changed;
      show();
    });
    target.on(noticeRaised, ({ run: id, notice }) => {
      if (id !== run.id || over) return;
      clear();
      const mark = notice.level === 'info' ? paint('green', '✔') : paint('yellow', '!');
      write(`${mark} ${safe(notice.text)}\n`);
      show(true);
    });
  };
  listen(connection);
  show(true);
  while (!over && !options.until(run)) {
    await Promise.race([delay(POLL_MS), options.detached]);
    try {
      const shown = await connection.request(runShow, { root: options.root, run: run.id });
      // A notification may have arrived in between and be newer.
      if (shown.run.step >= run.step || shown.run.session !== run.session || !LIVE_STATUSES.includes(shown.run.status))
        run = shown.run;
    } catch {
      if (over) break;
      connection = await options.reconnect();
      listen(connection);
    }
  }
  if (isTerminal) {
    show(true);
    if (drawn) write('\n');
  } else {
    show(true);
  }
  if (connection !== client) connection.close();
  return run;
}

export interface CopyOptions {
  /** Session to copy; absent: all. */
  session?: string;
  /** True to follow the output until the run ends. */
  follow: boolean;
  /** True to copy the raw output; else a progress bar becomes one line in its last state. */
  raw: boolean;
  /** Columns of the terminal that is written to; 0: not a terminal. */
  width: number;
  write(text: string): void;
  /** Promise that ends the copying when it settles (Ctrl-C). */
  detached: Promise<void>;
}

/** Copies a run's output. Returns true if it ended with a line break. */
export async function copyLog(client: Client, root: string, run: string, options: CopyOptions): Promise<boolean> {
  const { follow, detached } = options;
  let endsLine = true;
  const write = (text: string) => {
    endsLine = text.endsWith('\n');
    options.write(text);
  };
  const bars = options.raw ? null : new Bars(write, options.width);
  let offset = 0;
  let over = false;
  void detached.then(() => {
    over = true;
  });
  while (!over) {
    const place = { root, run, session: options.session, offset };
    // First without a wait: a bar that stands still is shown as it stands.
    let page = await client.request(logRead, place);
    if (!page.text && !page.ended && follow) {
      bars?.rest();
      const next = await Promise.race([
        nextLogPage((message, params) => client.request(message, params), place),
        detached,
      ]);
      if (!next) break;
      page = next;
    }
    if (page.text) bars ? bars.take(page.text) : write(page.text);
    else if (page.ended || !follow) break;
    offset = page.offset;
  }
  bars?.end();
  return endsLine;
}
