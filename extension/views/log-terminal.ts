/**
 * A terminal with a run's output, from its start and as it comes. Keystrokes reach a command, which has a terminal of its own; a
 * TensorFlow.js training reads none. Closing the terminal does not end the run.
 */
import * as vscode from 'vscode';
import { nextLogPage } from '../../client/follow-log.ts';
import { LogFilter } from '../../client/log-filter.ts';
import type { Connection } from '../../pages/connection.ts';
import type { Run } from '../../protocol/domain.ts';
import { runChanged, runInput } from '../../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { oneLine, plain } from '../core/text.ts';

/** Pause before a daemon that is away is asked again. */
const AWAY_MS = 2_000;
const CTRL_C = '\u0003';

type LoggedRun = Pick<Run, 'id' | 'name' | 'kind' | 'status'>;

export function showLog(connection: Connection, root: string, run: LoggedRun): void {
  const name = oneLine(`${run.name} log`);
  const open = vscode.window.terminals.find((terminal) => terminal.name === name && terminal.exitStatus === undefined);
  if (open) {
    open.show();
    return;
  }
  const pty = new LogTerminal(connection, root, run);
  vscode.window.createTerminal({ name, pty, isTransient: true, iconPath: new vscode.ThemeIcon('pulse') }).show();
}

export class LogTerminal implements vscode.Pseudoterminal {
  readonly #connection: Connection;
  readonly #root: string;
  readonly #run: LoggedRun;
  /** Filter for a run that has ended: the viewer did not start it here, and its output may come from anybody. */
  #filter: LogFilter | null;
  readonly #write = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.#write.event;
  #offset = 0;
  #closed = false;
  #ended = false;
  readonly #unsubscribe: () => void;

  constructor(connection: Connection, root: string, run: LoggedRun) {
    this.#connection = connection;
    this.#root = root;
    this.#run = run;
    this.#filter = LIVE_STATUSES.includes(run.status) ? null : new LogFilter();
    this.#unsubscribe = connection.on(runChanged, ({ run: changed }) => {
      if (changed.id === run.id && LIVE_STATUSES.includes(changed.status)) this.#goOn();
    });
  }

  open(size: vscode.TerminalDimensions | undefined): void {
    if (size) this.setDimensions(size);
    // A person opened the terminal, so this may start a daemon; following alone does not.
    void this.#connection.connect(true).then(
      () => this.#follow(),
      () => this.#follow(),
    );
  }

  setDimensions({ columns, rows }: vscode.TerminalDimensions): void {
    this.#send({ columns, rows });
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#write.dispose();
  }

  handleInput(text: string): void {
    if (this.#run.kind !== 'command' || this.#ended) return;
    if (text === CTRL_C) void this.#askToInterrupt();
    else this.#type(text);
  }

  /** Asks before it sends Ctrl-C: a reflex must not end hours of training. */
  async #askToInterrupt(): Promise<void> {
    const question = `Send Ctrl-C to ${plain(this.#run.name)}?`;
    const detail = 'This interrupts the script, which usually ends it. Closing the terminal leaves it running.';
    const chosen = await vscode.window.showWarningMessage(question, { modal: true, detail }, 'Send Ctrl-C');
    if (chosen) this.#type(CTRL_C);
  }

  #type(text: string): void {
    this.#send({ text });
  }

  #send(input: { text: string } | { columns: number; rows: number }): void {
    if (this.#run.kind !== 'command' || this.#ended) return;
    this.#connection.request(runInput, { root: this.#root, run: this.#run.id, ...input }).catch(() => {
      // The run has ended or the daemon is away: nobody would read the input.
    });
  }

  /** Follows a run that was resumed: its log has all sessions, one after another. */
  #goOn(): void {
    if (!this.#ended || this.#closed) return;
    this.#ended = false;
    this.#filter = null;
    this.#write.fire('\x1b[2m[the run goes on]\x1b[0m\r\n');
    void this.#follow();
  }

  async #follow(): Promise<void> {
    while (!this.#closed) {
      try {
        const { text, offset, ended } = await nextLogPage((message, params) => this.#connection.poll(message, params), {
          root: this.#root,
          run: this.#run.id,
          offset: this.#offset,
        });
        this.#offset = offset;
        if (this.#closed) return;
        // A terminal needs a carriage return before each line feed; the log has only the latter.
        if (text) this.#write.fire((this.#filter?.take(text) ?? text).replaceAll(/\r?\n/g, '\r\n'));
        else if (ended) {
          this.#ended = true;
          this.#write.fire('\r\n\x1b[2m[the run has ended]\x1b[0m\r\n');
          return;
        }
      } catch {
        // The daemon is away; reading continues from here later.
        await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
      }
    }
  }
}
