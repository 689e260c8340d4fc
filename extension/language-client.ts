/** Client of the daemon's language server. A bundle of its own, which is loaded once a document needs it. */
import type * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  RevealOutputChannelOn,
  State,
} from 'vscode-languageclient/node';
import { BUILD } from '../base/build.ts';
import { BoundedMessageReader, DirectMessageWriter } from '../base/framing.ts';
import { connectStream } from '../client/connect.ts';

export interface LanguageSetup {
  log: vscode.LogOutputChannel;
  /** Shows last values beside what a script reports. */
  hints: boolean;
  /** Called when the client has lost its server. It is then of no more use. */
  lost(): void;
}

/** Starts a client on a connection of its own to the running daemon; it never starts one. Rejects if none answers. */
export async function startLanguageClient({ log, hints, lost }: LanguageSetup): Promise<LanguageClient> {
  const socket = await connectStream({ name: 'editor, language', build: BUILD, dist: null });
  const options: LanguageClientOptions = {
    documentSelector: [
      { scheme: 'file', pattern: '**/trainstash.{json,jsonc}' },
      { scheme: 'untitled', language: 'python' },
      { scheme: 'file', language: 'python' },
      { scheme: 'vscode-notebook-cell', language: 'python' },
    ],
    // VS Code marks mistakes of JSON itself.
    initializationOptions: { editorChecksJson: true, commands: true, hints },
    outputChannel: log,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationFailedHandler: () => false,
    // The daemon's end is told by the connection that the views have; a new client starts when that one is back.
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
    },
  };
  // Our own reader: the greeting has left the socket paused.
  const reader = new BoundedMessageReader(socket);
  const transports = { reader, writer: new DirectMessageWriter(socket), detached: true };
  const client = new LanguageClient('trainstash', 'Trainstash', () => Promise.resolve(transports), options);
  client.onDidChangeState(({ newState }) => {
    if (newState === State.Stopped) lost();
  });
  await client.start();
  return client;
}
