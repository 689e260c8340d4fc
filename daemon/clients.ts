/** Clients that are connected to the daemon. The server adds and removes them; whoever has news tells all of them. */
import type { Socket } from 'node:net';
import type { MessageConnection } from 'vscode-jsonrpc/node';
import type { BoundedMessageReader } from '../base/framing.ts';
import { daemonLeaving } from '../protocol/messages/daemon.ts';
import type { Notification } from '../protocol/messages/request.ts';
import type { Build } from '../protocol/version.ts';
import type { LanguageService } from './language/peer.ts';

/**
 * Backlog above which a client has stopped reading: it is disconnected, and requests the state again when it
 * reconnects.
 */
const MAX_BACKLOG_BYTES = 8 << 20;

export interface ClientInfo {
  name: string;
  build: Build;
  /** True for an older build: it may read, and is told to update. */
  readOnly: boolean;
}

export interface Connected {
  socket: Socket;
  reader: BoundedMessageReader;
  connection: MessageConnection;
  /** Set once the client has sent `initialize`. */
  language: LanguageService | null;
  /** The client hears our own notifications. An editor that speaks only the Language Server Protocol knows none of them. */
  hears: boolean;
  /** Null until the client has said hello. */
  client: ClientInfo | null;
  left: AbortController;
}

export class Clients {
  readonly #connected = new Set<Connected>();
  readonly #log: (text: string) => void;

  constructor(log: (text: string) => void) {
    this.#log = log;
  }

  add(connected: Connected): void {
    this.#connected.add(connected);
  }

  delete(connected: Connected): void {
    this.#connected.delete(connected);
  }

  /** Returns the number of clients that have said hello. */
  get count(): number {
    return [...this.#connected].filter(({ client }) => client).length;
  }

  get sockets(): Socket[] {
    return [...this.#connected].map(({ socket }) => socket);
  }

  notify<P>(notification: Notification<P>, params: P): void {
    for (const { client, socket, language, hears, connection } of this.#connected) {
      if (!client) continue;
      if (socket.writableLength > MAX_BACKLOG_BYTES) {
        this.#log(`${client.name} does not read; cut off`);
        socket.destroy();
        continue;
      }
      language?.heard(notification.method);
      // The bridge of an editor that hears nothing else knows this one.
      if (hears || notification.method === daemonLeaving.method)
        void connection.sendNotification(notification.method, params).catch(() => {});
    }
  }
}
