/**
 * A window's connection to the daemon: a language client, over which our own requests and notifications travel as well. A bundle
 * of its own, which is loaded once a window has something to ask the daemon.
 */
import * as vscode from 'vscode';
import {
  CloseAction,
  DidCloseTextDocumentNotification,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  RevealOutputChannelOn,
} from 'vscode-languageclient/node';
import { BoundedMessageReader, DirectMessageWriter } from '../base/framing.ts';
import { type Client, type ClientOptions, clientOver, connectStream } from '../client/connect.ts';
import { MAX_DOCUMENT_BYTES } from '../protocol/messages/request.ts';
import { documentLimit } from './document-limit.ts';
import { traceChannel } from './trace-channel.ts';

/** Time for the daemon's answer to `shutdown`, after which the socket is closed without one. */
const GOODBYE_MS = 500;

/** Dials or starts the daemon, as the options say, and starts a language client on the socket. Throws `daemonUnavailable`. */
export async function connectEditor(options: ClientOptions, log: vscode.LogOutputChannel): Promise<Client> {
  // Before the client is made: it would show a failure in a message of its own.
  const { socket, daemon } = await connectStream(options);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const trace = traceChannel(log);
  void closed.then(() => trace.dispose());
  const reader = new BoundedMessageReader(socket, MAX_DOCUMENT_BYTES);
  const transports = { reader, writer: new DirectMessageWriter(socket), detached: true };
  const client: LanguageClient = new QuietClient('trainstash', 'Trainstash', () => Promise.resolve(transports), {
    ...OPTIONS,
    outputChannel: log,
    traceOutputChannel: trace,
    middleware: documentLimit((uri) =>
      client.sendNotification(DidCloseTextDocumentNotification.type, {
        textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier({ uri } as vscode.TextDocument),
      }),
    ),
  });
  try {
    await client.start();
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return clientOver(client, {
    daemon,
    closed,
    close: () => void client.dispose(GOODBYE_MS).catch(() => socket.destroy()),
  });
}

const OPTIONS: LanguageClientOptions = {
  documentSelector: [
    { scheme: 'file', pattern: '**/trainstash.{json,jsonc}' },
    { scheme: 'untitled', language: 'python' },
    { scheme: 'file', language: 'python' },
    { scheme: 'vscode-notebook-cell', language: 'python' },
  ],
  initializationOptions: () => ({
    // VS Code marks mistakes of JSON itself.
    editorChecksJson: true,
    commands: true,
    hints: vscode.workspace.getConfiguration('trainstash').get('inlayHints', false),
    notifications: true,
  }),
  revealOutputChannelOn: RevealOutputChannelOn.Never,
  initializationFailedHandler: () => false,
  // The client would start the next daemon at once, also one that somebody has stopped. `pages/connection.ts` decides that.
  errorHandler: {
    error: () => ({ action: ErrorAction.Continue, handled: true }),
    closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
  },
};

/** Language client that shows no message of its own: whoever asked shows what has failed. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}
