/**
 * Bridge between an editor on standard input and output and the daemon's language server. A daemon may end or be replaced by a newer
 * one while the editor runs: the bridge then connects anew, and tells the next one all that the editor has told before.
 */
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { Message } from 'vscode-jsonrpc/node';
import { TextDocument, type TextDocumentContentChangeEvent } from 'vscode-languageserver-textdocument';
import { BoundedMessageReader, DirectMessageWriter } from '../base/framing.ts';
import { daemonLeaving } from '../protocol/messages/daemon.ts';
import { MAX_DOCUMENT_BYTES } from '../protocol/messages/request.ts';
import { DocumentLimit, MAX_EDITOR_BYTES } from './lsp-limit.ts';

/** Code of the protocol for an answer that no longer fits: editors ask again, and show nothing. */
const CONTENT_MODIFIED = -32801;
const RETRY_MS = [0, 200, 1_000, 5_000];

/** Any message of the protocol: a request has `method` and `id`, a notification `method`, an answer `id`. */
type Wire = Message & { id?: number | string; method?: string; params?: unknown };

type Leaving = NonNullable<typeof daemonLeaving.params>;

interface Opened {
  textDocument: { uri: string; languageId: string; version: number; text: string };
}

export class LanguageBridge {
  readonly #dial: (start: boolean) => Promise<Socket>;
  readonly #editor: DirectMessageWriter;
  readonly #log: (text: string) => void;
  readonly #documents = new Map<string, TextDocument>();
  readonly #limit = new DocumentLimit();
  /** Requests of the editor that wait for an answer. */
  readonly #waiting = new Set<number | string>();
  #initialize: Wire | null = null;
  #daemon: DirectMessageWriter | null = null;
  #socket: Socket | null = null;
  #queue: Wire[] = [];
  #ended = false;
  /** Someone has stopped the daemon on purpose: the next one is waited for, and not started. */
  #isStopped = false;

  constructor(setup: { dial: (start: boolean) => Promise<Socket>; output: Writable; log: (text: string) => void }) {
    this.#dial = setup.dial;
    this.#editor = new DirectMessageWriter(setup.output);
    this.#log = setup.log;
  }

  /** Serves until the editor says `exit` or closes its end. Returns the exit code that the protocol asks for. */
  async serve(input: Readable): Promise<number> {
    let shutDown = false;
    const done = new Promise<number>((resolve) => {
      const reader = new BoundedMessageReader(input, MAX_EDITOR_BYTES);
      reader.onError((error) => this.#log(`The editor sent what is no message: ${error.message}`));
      reader.onClose(() => resolve(shutDown ? 0 : 1));
      reader.listen((message) => {
        const wire = message as Wire;
        if (wire.method === 'shutdown') shutDown = true;
        if (wire.method === 'exit') resolve(shutDown ? 0 : 1);
        else this.#fromEditor(wire);
      });
      input.once('end', () => resolve(shutDown ? 0 : 1));
    });
    void this.#connect();
    const code = await done;
    this.#ended = true;
    this.#socket?.destroy();
    // An open input would keep the process.
    input.destroy();
    return code;
  }

  #fromEditor(sent: Wire): void {
    const wire = this.#limit.pass(sent);
    if (!wire) return;
    if (wire.method === 'initialize') this.#initialize = wire;
    if (wire.method !== undefined && wire.id !== undefined) this.#waiting.add(wire.id);
    this.#remember(wire);
    if (this.#daemon) void this.#daemon.write(wire);
    else this.#queue.push(wire);
  }

  /** Follows the texts of open documents, for the case that they have to be told again. */
  #remember({ method, params }: Wire): void {
    const { textDocument } = (params ?? {}) as Partial<Opened>;
    if (!textDocument) return;
    const { uri, version } = textDocument;
    if (method === 'textDocument/didOpen')
      this.#documents.set(uri, TextDocument.create(uri, textDocument.languageId, version, textDocument.text));
    else if (method === 'textDocument/didClose') this.#documents.delete(uri);
    else if (method === 'textDocument/didChange') {
      const document = this.#documents.get(uri);
      const { contentChanges } = params as { contentChanges: TextDocumentContentChangeEvent[] };
      if (document) this.#documents.set(uri, TextDocument.update(document, contentChanges, version));
    }
  }

  async #connect(): Promise<void> {
    for (let attempt = 0; !this.#ended; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]));
      try {
        this.#take(await this.#dial(!this.#isStopped));
        return;
      } catch (error) {
        if (!this.#isStopped) this.#log((error as Error).message);
      }
    }
  }

  #take(socket: Socket): void {
    if (this.#ended) {
      socket.destroy();
      return;
    }
    const again = this.#initialize !== null && this.#socket !== null;
    this.#socket = socket;
    const reader = new BoundedMessageReader(socket, MAX_DOCUMENT_BYTES);
    const writer = new DirectMessageWriter(socket);
    const secondHello = again ? this.#initialize!.id : undefined;
    let greeted = !again;
    reader.onError(() => {});
    reader.onClose(() => this.#lost());
    reader.listen((message) => {
      const wire = message as Wire;
      // The editor has had an answer to its `initialize` from an earlier daemon.
      if (!greeted && wire.method === undefined && wire.id === secondHello) greeted = true;
      else if (wire.method === daemonLeaving.method) {
        const { reason } = wire.params as Leaving;
        this.#isStopped = reason === 'asked';
      } else {
        if (wire.method === undefined && wire.id !== undefined) this.#waiting.delete(wire.id);
        void this.#editor.write(wire);
      }
    });
    if (again) {
      void writer.write(this.#initialize!);
      void writer.write({ jsonrpc: '2.0', method: 'initialized', params: {} } as Wire);
      for (const document of this.#documents.values()) void writer.write(opening(document));
      // What was queued has been remembered; requests have still to be asked.
      this.#queue = this.#queue.filter(({ id }) => id !== undefined);
    }
    for (const wire of this.#queue) void writer.write(wire);
    this.#queue = [];
    this.#daemon = writer;
    this.#isStopped = false;
  }

  #lost(): void {
    if (this.#ended) return;
    this.#daemon = null;
    for (const id of this.#waiting)
      void this.#editor.write({
        jsonrpc: '2.0',
        id,
        error: { code: CONTENT_MODIFIED, message: 'The daemon was replaced.' },
      } as Wire);
    this.#waiting.clear();
    void this.#connect();
  }
}

function opening(document: TextDocument): Wire {
  const { uri, languageId, version } = document;
  const params = { textDocument: { uri, languageId, version, text: document.getText() } };
  return { jsonrpc: '2.0', method: 'textDocument/didOpen', params } as Wire;
}
