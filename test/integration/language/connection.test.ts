/** One connection for everything: an editor's requests, our own, their progress and the daemon's news. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createMessageConnection, type MessageConnection } from 'vscode-jsonrpc/node';
import type { CodeLens, PublishDiagnosticsParams } from 'vscode-languageserver-protocol';
import { BoundedMessageReader, DirectMessageWriter } from '../../../base/framing.ts';
import { type Client, clientOver, connectStream } from '../../../client/connect.ts';
import { daemonStatus } from '../../../protocol/messages/daemon.ts';
import { remoteAdd, remotePush } from '../../../protocol/messages/remote.ts';
import { MAX_DOCUMENT_BYTES } from '../../../protocol/messages/request.ts';
import { runChanged } from '../../../protocol/messages/run.ts';
import { afterwards } from '../../support/cleanup.ts';
import { BUILD, type Fixture, makeFixture, openProject, shellEnvironment } from '../../support/daemon.ts';
import { until } from '../../support/folder.ts';
import { uriOf } from '../../support/language.ts';
import { urlOf } from '../../support/remotes.ts';

const CAPABILITIES = { textDocument: { codeLens: { dynamicRegistration: true } } };

interface OneConnection {
  connection: MessageConnection;
  client: Client;
  /** Registrations that the server has asked for. */
  registered: { method: string; registerOptions: { documentSelector: { language: string }[] } }[];
}

async function connectOnce(fixture: Fixture, initializationOptions: object): Promise<OneConnection> {
  const { socket, daemon } = await connectStream({ name: 'one', build: BUILD, dist: null, env: fixture.env });
  const connection = createMessageConnection(
    new BoundedMessageReader(socket, MAX_DOCUMENT_BYTES),
    new DirectMessageWriter(socket),
  );
  afterwards(() => void socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const registered: OneConnection['registered'] = [];
  connection.onRequest('client/registerCapability', ({ registrations }) => void registered.push(...registrations));
  connection.listen();
  await connection.sendRequest('initialize', { capabilities: CAPABILITIES, initializationOptions });
  await connection.sendNotification('initialized', {});
  return { connection, registered, client: clientOver(connection, { daemon, closed, close: () => socket.end() }) };
}

test('an editor hears of runs, asks for them and has its documents looked at over one connection', async () => {
  const fixture = makeFixture();
  const other = await openProject(fixture);
  const { connection, client } = await connectOnce(fixture, { commands: true, notifications: true });
  const changed: string[] = [];
  client.on(runChanged, ({ run }) => void changed.push(run.name));
  const published: PublishDiagnosticsParams[] = [];
  connection.onNotification('textDocument/publishDiagnostics', (params) => void published.push(params));
  const path = join(fixture.root, 'trainstash.jsonc');
  await connection.sendNotification('textDocument/didOpen', {
    textDocument: { uri: uriOf(path), languageId: 'jsonc', version: 1, text: '{ "jbos": {} }' },
  });
  expect((await fixture.cli('run', 'small')).code).toBe(0);
  await until('it has heard of the run', () => changed.includes('small #1'));
  await until('the document is marked', () => published.length > 0);
  expect(published[0]!.diagnostics.map(({ code }) => code)).toEqual(['configKey']);
  expect((await client.request(daemonStatus, {})).clients).toBe(2);
  other.close();
});

test('an editor that asks for no news of ours hears none, and what it does not know is a method that does not exist', async () => {
  const fixture = makeFixture();
  await openProject(fixture);
  const { connection, client } = await connectOnce(fixture, {});
  const heard: string[] = [];
  connection.onNotification((method) => void heard.push(method));
  expect((await fixture.cli('run', 'small')).code).toBe(0);
  await client.request(daemonStatus, {});
  expect(heard).toEqual([]);
  await expect(connection.sendRequest('textDocument/typeDefinition', {})).rejects.toMatchObject({ code: -32601 });
});

test('a long request tells how far it is by $/progress, and one that is aborted is cancelled', async () => {
  const fixture = makeFixture();
  await openProject(fixture);
  expect((await fixture.cli('run', 'small')).code).toBe(0);
  const { client, connection } = await connectOnce(fixture, { notifications: true });
  const environment = shellEnvironment();
  const { root } = fixture;
  await client.request(remoteAdd, { root, name: 'box', url: urlOf(join(fixture.folder, 'box')), environment });
  const unhandled: unknown[] = [];
  connection.onUnhandledProgress((params) => void unhandled.push(params));
  const told: [number, number][] = [];
  const report = await client.request(remotePush, { root, to: 'box', environment }, undefined, (...progress) => {
    told.push(progress);
  });
  expect(report.checkpoints).toBeGreaterThan(0);
  expect(told.at(-1)).toEqual([report.bytes, report.bytes]);
  expect(unhandled).toEqual([]);
  const aborted = new AbortController();
  aborted.abort();
  await expect(client.request(remotePush, { root, environment }, aborted.signal)).rejects.toMatchObject({
    code: 'cancelled',
  });
});

test('above a script of a job in any language stand its runs, although its text is never sent', async () => {
  const fixture = makeFixture();
  await openProject(fixture);
  const { connection, registered } = await connectOnce(fixture, { commands: true, notifications: true });
  await until('lenses are registered', () => registered.length > 0);
  expect(registered.map(({ method }) => method)).toEqual(['textDocument/codeLens']);
  expect(registered[0]!.registerOptions.documentSelector.map(({ language }) => language)).toContain('typescript');
  const lenses = (name: string) =>
    connection.sendRequest<CodeLens[]>('textDocument/codeLens', {
      textDocument: { uri: uriOf(join(fixture.root, name)) },
    });
  expect(await lenses('small.ts')).toEqual([]);
  expect((await fixture.cli('run', 'small')).code).toBe(0);
  const found = await until('the lenses', async () => {
    const now = await lenses('small.ts');
    return now.length > 0 && now;
  });
  expect(found.map(({ range, command }) => [range.start.line, command!.title.split(',')[0], command!.command])).toEqual(
    [
      [0, '$(play) Run small', 'trainstash.run'],
      [0, '$(graph-line) small #1 completed', 'trainstash.openRun'],
    ],
  );
  expect(await lenses('other.ts')).toEqual([]);
});

test('a script that was run as it is has its runs above its first line', async () => {
  const fixture = makeFixture();
  const path = join(fixture.root, 'plain.py');
  const text = '"""Trains."""\nprint("trainstash step=1 loss=0.5")\n';
  writeFileSync(path, text);
  expect((await fixture.cli('run', '--', 'python3', 'plain.py')).code).toBe(0);
  const { connection } = await connectOnce(fixture, { commands: true });
  await connection.sendNotification('textDocument/didOpen', {
    textDocument: { uri: uriOf(path), languageId: 'python', version: 1, text },
  });
  const found = await connection.sendRequest<CodeLens[]>('textDocument/codeLens', {
    textDocument: { uri: uriOf(path) },
  });
  expect(found.map(({ range, command }) => [range.start.line, command!.title.split(',')[0]])).toEqual([
    [0, '$(play) Run'],
    [0, expect.stringMatching(/plain #1 completed/)],
  ]);
});
