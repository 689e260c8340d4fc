/** A run's output in a terminal: what there is, then what comes. Closing it ends nothing. */
import * as vscode from 'vscode';
import { logRead } from '../../protocol/messages.ts';
import type { Connection } from '../connection.ts';

const POLL_MS = 400;

export function showLog(connection: Connection, root: string, run: { id: string; name: string }): void {
  const name = `${run.name} log`;
  const open = vscode.window.terminals.find((terminal) => terminal.name === name && terminal.exitStatus === undefined);
  if (open) {
    open.show();
    return;
  }
  const pty = new LogTerminal(connection, root, run.id);
  vscode.window.createTerminal({ name, pty, isTransient: true, iconPath: new vscode.ThemeIcon('pulse') }).show();
}

class LogTerminal implements vscode.Pseudoterminal {
  readonly #connection: Connection;
  readonly #root: string;
  readonly #run: string;
  readonly #write = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.#write.event;
  #offset = 0;
  #closed = false;

  constructor(connection: Connection, root: string, run: string) {
    this.#connection = connection;
    this.#root = root;
    this.#run = run;
  }

  open(): void {
    void this.#follow();
  }

  close(): void {
    this.#closed = true;
    this.#write.dispose();
  }

  handleInput(): void {
    // What is typed does not reach the training: it may have been started by anyone.
  }

  async #follow(): Promise<void> {
    while (!this.#closed) {
      try {
        const { text, offset, ended } = await this.#connection.request(logRead, {
          root: this.#root,
          run: this.#run,
          offset: this.#offset,
        });
        this.#offset = offset;
        if (this.#closed) return;
        // A terminal needs the carriage return that a file has not.
        if (text) this.#write.fire(text.replaceAll(/\r?\n/g, '\r\n'));
        else if (ended) {
          this.#write.fire('\r\n\x1b[2m[the run has ended]\x1b[0m\r\n');
          return;
        } else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      } catch {
        // The daemon is away; it goes on from here.
        await new Promise((resolve) => setTimeout(resolve, POLL_MS * 5));
      }
    }
  }
}
