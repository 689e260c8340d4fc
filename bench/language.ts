/** Measures the language server from an editor's side, over the daemon's socket: answers, marks, memory. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createMessageConnection, type MessageConnection } from 'vscode-jsonrpc/node';
import { BoundedMessageReader, DirectMessageWriter } from '../base/framing.ts';
import { connect, connectStream } from '../client/connect.ts';
import { daemonStatus, daemonStop } from '../protocol/messages/daemon.ts';
import type { Build } from '../protocol/version.ts';
import { percentile, type Result, timed } from './measure.ts';

const ROUNDS = 60;
const LINES = 1_000;
const LARGE = 20_000;

const SCRIPT = `import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
best = None
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        loss = step(model, x, y)
        run.step(loss=loss)
    if best is None or loss < best:
        best = loss
`;
const FUNCTION = `
def forward(self, x, scale=1.0):
    for layer in self.layers:
        x = layer(x) * scale + self.bias[0, :]
    return {"out": x, "norm": [v.norm() for v in self.parameters()]}
`;

export async function languageBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'language-'));
  const project = join(work, 'project');
  mkdirSync(project);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  writeFileSync(join(project, 'train.py'), '');
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const client = await connect({ name: 'bench', build, dist, env });
  try {
    const { socket } = await connectStream({ name: 'bench, language', build, dist: null, env });
    const connection = createMessageConnection(
      new BoundedMessageReader(socket, 32 << 20),
      new DirectMessageWriter(socket),
    );
    const editor = new Editor(connection);
    await editor.initialize();

    const config = pathToFileURL(join(project, 'trainstash.json')).href;
    await editor.open(config, 'jsonc', jobs(LINES));
    const answers: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const position = { line: 2 + ((round * 13) % (LINES - 10)), character: 12 };
      for (const method of ['completion', 'hover', 'definition', 'prepareRename'])
        answers.push(await timed(() => editor.ask(method, config, position)));
    }
    const configs: number[] = [];
    for (let round = 0; round < ROUNDS / 3; round++)
      configs.push(await timed(() => editor.change(config, `${jobs(LINES)}// ${round}`)));

    const script = pathToFileURL(join(project, 'train.py')).href;
    const text = `${SCRIPT}${FUNCTION.repeat(LINES / 5)}`;
    await editor.open(script, 'python', text);
    const scripts: number[] = [];
    for (let round = 0; round < ROUNDS / 3; round++)
      scripts.push(await timed(() => editor.change(script, `${text}# ${round}`)));

    const large = pathToFileURL(join(project, 'large.py')).href;
    const before = await timed(() => editor.open(large, 'python', `${SCRIPT}${FUNCTION.repeat(LARGE / 5)}`));
    const { pid } = await client.request(daemonStatus, {});
    const memory = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
    connection.dispose();
    socket.destroy();
    const ms = (seconds: number[]) => percentile(seconds, 0.95) * 1000;
    return [
      { name: 'language.answer', value: ms(answers), unit: 'ms (p95)', goal: { atMost: 50 }, raw: { ours: answers } },
      { name: 'language.config', value: ms(configs), unit: 'ms (p95)', goal: { atMost: 200 }, raw: { ours: configs } },
      { name: 'language.script', value: ms(scripts), unit: 'ms (p95)', goal: { atMost: 200 }, raw: { ours: scripts } },
      { name: 'language.large', value: before * 1000, unit: 'ms', goal: {} },
      { name: 'language.memory', value: memory, unit: 'MiB', goal: {} },
    ];
  } finally {
    await client.request(daemonStop, {}).catch(() => {});
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Editor {
  readonly #connection: MessageConnection;
  readonly #published = new Map<string, () => void>();
  #version = 0;

  constructor(connection: MessageConnection) {
    this.#connection = connection;
    connection.onNotification('textDocument/publishDiagnostics', ({ uri, version }: { uri: string; version: number }) =>
      this.#published.get(`${uri}@${version}`)?.(),
    );
    connection.listen();
  }

  async initialize(): Promise<void> {
    await this.#connection.sendRequest('initialize', { processId: process.pid, rootUri: null, capabilities: {} });
    await this.#connection.sendNotification('initialized', {});
  }

  /** Opens a document, and waits for its marks. */
  async open(uri: string, languageId: string, text: string): Promise<void> {
    const version = ++this.#version;
    const marked = this.#marked(uri, version);
    await this.#connection.sendNotification('textDocument/didOpen', {
      textDocument: { uri, languageId, version, text },
    });
    await marked;
  }

  /** Replaces the text, and waits for its marks. */
  async change(uri: string, text: string): Promise<void> {
    const version = ++this.#version;
    const marked = this.#marked(uri, version);
    await this.#connection.sendNotification('textDocument/didChange', {
      textDocument: { uri, version },
      contentChanges: [{ text }],
    });
    await marked;
  }

  ask(method: string, uri: string, position: object): Promise<unknown> {
    return this.#connection.sendRequest(`textDocument/${method}`, { textDocument: { uri }, position });
  }

  #marked(uri: string, version: number): Promise<void> {
    return new Promise((resolve) => this.#published.set(`${uri}@${version}`, resolve));
  }
}

function jobs(lines: number): string {
  const rows = Array.from(
    { length: lines - 4 },
    (_, index) => `    "job${index}": { "run": "python train.py --lr \${params.lr}", "params": { "lr": ${index} } }`,
  );
  return `{\n  "jobs": {\n${rows.join(',\n')}\n  }\n}\n`;
}
