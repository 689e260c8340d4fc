/** Runs inside the extension host, beside the packed extension: tests what cannot be seen from outside. */
import * as assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Mocha from 'mocha';
import * as vscode from 'vscode';
import { type Client, connect } from '../../client/connect.ts';
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { daemonStatus } from '../../protocol/messages/daemon.ts';
import { runList } from '../../protocol/messages/run.ts';

const ID = 'trainstash.trainstash';

const LOOP = `import trainstash
run = trainstash.init(model=model)
best = None
for epoch in run.epochs(3):
    for x in run.batches(loader):
        run.step(loss=step(model, x))
    if best is None or evaluate(model) < best:
        best = evaluate(model)
`;

export function run(): Promise<void> {
  const mocha = new Mocha({ timeout: 60_000, reporter: 'spec', color: false });
  mocha.suite.emit('pre-require', globalThis, '', mocha);
  define();
  return new Promise((resolve, reject) => {
    mocha.run((failures) => (failures > 0 ? reject(new Error(`${failures} failed`)) : resolve()));
  });
}

function define(): void {
  const root = vscode.workspace.workspaceFolders![0]!.uri;
  const extension = () => vscode.extensions.getExtension(ID)!;

  describe('the packed extension', () => {
    it('is activated by itself', async () => {
      await until('it is active', () => extension().isActive);
      assert.equal(extension().exports, undefined);
    });

    it('has a handler for every command that it contributes', async () => {
      const known = new Set(await vscode.commands.getCommands(true));
      const contributed: { command: string }[] = extension().packageJSON.contributes.commands;
      assert.deepEqual(
        contributed.map(({ command }) => command).filter((command) => !known.has(command)),
        [],
      );
    });

    it('keeps its store out of the file watcher', () => {
      const excluded = vscode.workspace.getConfiguration('files').get<Record<string, boolean>>('watcherExclude')!;
      assert.equal(excluded['**/.git/trainstash/**'], true);
    });

    it('brings the command line to terminals', async () => {
      const said = join(root.fsPath, 'said.txt');
      const terminal = vscode.window.createTerminal({ name: 'shell', shellPath: '/bin/sh' });
      try {
        terminal.sendText(`trainstash help doctor > ${said} 2>&1`);
        await until('it has answered', () => existsSync(said) && readFileSync(said, 'utf8').includes('[--again]'));
      } finally {
        terminal.dispose();
      }
    });

    it('offers jobs as tasks, and a task ends when its run does', async () => {
      const tasks = await until('the jobs are known', async () => {
        const found = await vscode.tasks.fetchTasks({ type: 'trainstash' });
        return found.length > 0 && found;
      });
      assert.deepEqual(
        tasks.map(({ name }) => name).filter((name) => name !== 'scripted'),
        ['small'],
      );
      const ended = new Promise((resolve) =>
        vscode.tasks.onDidEndTask(({ execution }) => resolve(execution.task.name)),
      );
      await vscode.tasks.executeTask(tasks[0]!);
      assert.equal(await ended, 'small');
    });

    it('shows code snapshots that nobody can write to', async () => {
      assert.equal(vscode.workspace.fs.isWritableFileSystem('trainstash'), false);
      const unknown = vscode.Uri.from({
        scheme: 'trainstash',
        authority: '0'.repeat(40),
        path: '/small.ts',
        query: root.fsPath,
      });
      await assert.rejects(async () => vscode.workspace.fs.readFile(unknown), /FileNotFound|EntryNotFound/i);
      await assert.rejects(async () => vscode.workspace.fs.writeFile(unknown, new Uint8Array(1)));
    });

    it('opens checkpoint files as what they hold, and says so of one that is none', async () => {
      const uri = vscode.Uri.joinPath(root, 'broken.safetensors');
      await vscode.workspace.fs.writeFile(uri, Buffer.from('no tensors in here'));
      await vscode.commands.executeCommand('vscode.open', uri);
      await until('its tab is there', () => {
        const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
        return input instanceof vscode.TabInputCustom && input.viewType === 'trainstash.checkpointFile';
      });
    });

    it('marks a mistake in trainstash.json as it is typed, once, and mends it', async () => {
      const uri = vscode.Uri.joinPath(root, 'trainstash.json');
      const document = await vscode.workspace.openTextDocument(uri);
      await vscode.window.showTextDocument(document);
      const before = document.getText();
      await type(
        document,
        '{\n  "jobs": { "small": { "module": "small.ts", "checkpoint": { "every": "5 min" } } }\n}\n',
      );
      const found = await until('it is marked', () => marks(uri).length > 0 && marks(uri));
      assert.deepEqual(
        found.map(({ message, range }) => [range.start.line, document.getText(range), message.replace(/^.*; /, '')]),
        [[1, '"5 min"', 'did you mean "5m"?']],
      );
      assert.equal(vscode.languages.getDiagnostics(uri).length, 1);
      const actions = await actionsAt(uri, found[0]!.range);
      await vscode.workspace.applyEdit(actions.find(({ title }) => title === 'Replace with "5m"')!.edit!);
      await until('the mark is gone', () => marks(uri).length === 0);
      const hovers = await hoversAt(uri, found[0]!.range.start.translate(0, -5));
      assert.match(hovers, /^Interval between checkpoints/);
      await type(document, before);
      await document.save();
    });

    it('marks in a script what a resume would start again, and keeps it in a state', async () => {
      const uri = vscode.Uri.joinPath(root, 'loop.py');
      await vscode.workspace.fs.writeFile(uri, Buffer.from(LOOP));
      const document = await vscode.workspace.openTextDocument(uri);
      await vscode.window.showTextDocument(document);
      const [found] = await until('it is marked', () => marks(uri).length > 0 && marks(uri));
      assert.equal(document.getText(found!.range), 'best');
      assert.equal((found!.code as { value: string }).value, 'loopVariable');
      const actions = await actionsAt(uri, found!.range);
      await vscode.workspace.applyEdit(actions.find(({ title }) => title === 'Keep "best" in run.state')!.edit!);
      await until('the mark is gone', () => marks(uri).length === 0);
      assert.match(document.getText(), /^s = run\.state\(best=None\)$/m);
      await document.save();
    });

    it('has one connection for its views and its documents', async () => {
      const client = await daemon(extension().extensionPath);
      assert.equal((await client.request(daemonStatus, {})).clients, 2);
      client.close();
    });

    it('writes down what it says to the daemon, from the moment that the setting asks for it', async function () {
      // An editor without its native modules writes no logs.
      if (!(await writesLogs())) this.skip();
      const settings = vscode.workspace.getConfiguration('trainstash');
      const commands = await vscode.commands.getCommands();
      const shows = commands.find((name) => name.startsWith(`workbench.action.output.show.${ID}.`));
      await vscode.commands.executeCommand(shows!);
      assert.doesNotMatch(output(), /Sending request/);
      await settings.update('trace.server', 'messages', vscode.ConfigurationTarget.Workspace);
      try {
        await vscode.commands.executeCommand('trainstash.refresh');
        await until('the request is written down', () => /Sending request 'project\/open/.test(output()));
        await until('its answer is', () => /Received response 'project\/open/.test(output()));
      } finally {
        await settings.update('trace.server', undefined, vscode.ConfigurationTarget.Workspace);
      }
    });

    it('connects again when the daemon was killed, and marks documents as before', async () => {
      const killed = await daemon(extension().extensionPath);
      process.kill(killed.daemon.pid, 'SIGKILL');
      await killed.closed;
      const uri = vscode.Uri.joinPath(root, 'trainstash.json');
      const document = await vscode.workspace.openTextDocument(uri);
      const before = document.getText();
      await type(document, '{ "jbos": {} }');
      await until('it is marked', () => marks(uri).length > 0);
      await type(document, before);
      await until('the mark is gone', () => marks(uri).length === 0);
      await document.save();
    });

    const script = vscode.Uri.joinPath(root, 'train.py');

    it('debugs a job: it stops where it is told to, and is a run like any other', async function () {
      if (!(await hasJob('scripted'))) this.skip();
      const session = await stopAt(script, 'with zipfile.ZipFile(f', () => {
        const job = { name: 'scripted', what: '', python: true, params: {} };
        void vscode.commands.executeCommand('trainstash.debug', { root: root.fsPath, job });
      });
      assert.equal(await evaluate(session, '(start, epoch)'), '(0, 0)');
      await goOn(session);
      const files = await vscode.workspace.fs.readDirectory(vscode.Uri.joinPath(root, 'out'));
      assert.equal(files.length, 3);
    });

    it('debugs from a checkpoint: a fork of the run, which is left alone', async function () {
      if (!(await hasJob('scripted'))) this.skip();
      const client = await daemon(extension().extensionPath);
      const [run] = await until('the debugged run has ended', async () => {
        const { runs } = await client.request(runList, { root: root.fsPath, drafts: true });
        return runs.filter(({ job, status }) => job === 'scripted' && status === 'completed');
      });
      const { checkpoints } = await client.request(checkpointList, { root: root.fsPath, run: run!.id });
      const checkpoint = checkpoints.find(({ step }) => step === 200);
      const session = await stopAt(script, 'with zipfile.ZipFile(f', () => {
        const node = { kind: 'checkpoint', root: root.fsPath, run: run!.id, checkpoint };
        void vscode.commands.executeCommand('trainstash.debugFrom', node);
      });
      assert.equal(await evaluate(session, '(start, epoch)'), '(2, 2)');
      await goOn(session);
      const { runs } = await client.request(runList, { root: root.fsPath, drafts: true });
      assert.equal(runs[0]!.parent?.checkpoint, checkpoint!.id);
      client.close();
    });
  });
}

/** Returns what the shown output channel has. */
function output(): string {
  const shown = vscode.workspace.textDocuments.filter(({ uri }) => uri.scheme === 'output');
  return shown.map((document) => document.getText()).join('\n');
}

async function writesLogs(): Promise<boolean> {
  const channel = vscode.window.createOutputChannel('suite', { log: true });
  try {
    channel.show(true);
    channel.info('written');
    for (const deadline = Date.now() + 5_000; Date.now() < deadline; await new Promise((then) => setTimeout(then, 50)))
      if (output().includes('written')) return true;
    return false;
  } finally {
    channel.dispose();
  }
}

/** Connects to the daemon beside the extension. */
function daemon(path: string): Promise<Client> {
  const build = JSON.parse(readFileSync(join(path, 'dist/build.json'), 'utf8'));
  return connect({ name: 'suite', build, dist: null });
}

async function hasJob(name: string): Promise<boolean> {
  return (await vscode.tasks.fetchTasks({ type: 'trainstash' })).some((task) => task.name === name);
}

/** Waits until the debugger stops at the line with this text. */
async function stopAt(file: vscode.Uri, text: string, start: () => void): Promise<vscode.DebugSession> {
  const document = await vscode.workspace.openTextDocument(file);
  const at = document.positionAt(document.getText().indexOf(text));
  vscode.debug.addBreakpoints([new vscode.SourceBreakpoint(new vscode.Location(file, at))]);
  start();
  await until('it stands there', () => vscode.debug.activeStackItem instanceof vscode.DebugStackFrame);
  return vscode.debug.activeDebugSession!;
}

async function evaluate(session: vscode.DebugSession, expression: string): Promise<string> {
  const { frameId } = vscode.debug.activeStackItem as vscode.DebugStackFrame;
  return (await session.customRequest('evaluate', { expression, frameId, context: 'repl' })).result;
}

/** Removes the breakpoint and continues to the end. */
async function goOn(session: vscode.DebugSession): Promise<void> {
  const ended = new Promise<void>((resolve) => vscode.debug.onDidTerminateDebugSession(() => resolve()));
  const { threadId } = vscode.debug.activeStackItem as vscode.DebugStackFrame;
  vscode.debug.removeBreakpoints(vscode.debug.breakpoints);
  await session.customRequest('continue', { threadId });
  await ended;
}

/** Replaces the text without saving it. */
async function type(document: vscode.TextDocument, text: string): Promise<void> {
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, new vscode.Range(0, 0, document.lineCount, 0), text);
  await vscode.workspace.applyEdit(edit);
}

function marks(uri: vscode.Uri): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(uri).filter(({ source }) => source === 'trainstash');
}

async function actionsAt(uri: vscode.Uri, range: vscode.Range): Promise<vscode.CodeAction[]> {
  return vscode.commands.executeCommand('vscode.executeCodeActionProvider', uri, range);
}

async function hoversAt(uri: vscode.Uri, position: vscode.Position): Promise<string> {
  const hovers: vscode.Hover[] = await vscode.commands.executeCommand('vscode.executeHoverProvider', uri, position);
  return hovers
    .flatMap(({ contents }) => contents.map((one) => (typeof one === 'string' ? one : one.value)))
    .join('\n');
}

async function until<T>(what: string, look: () => T | Promise<T>): Promise<Exclude<T, false | undefined>> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    const value = await look();
    if (Array.isArray(value) ? value.length > 0 : value) return value as Exclude<T, false | undefined>;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain: ${what}`);
}
