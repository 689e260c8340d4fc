/** A developer's view of Trainstash itself: its debugger ports, and logs that name TypeScript lines. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { makeFixture } from '../support/daemon.ts';
import { until } from '../support/folder.ts';

test('with TRAINSTASH_INSPECT a debugger reaches the daemon, and finds its sources', async () => {
  const port = await freePort();
  const fixture = makeFixture({ env: { TRAINSTASH_INSPECT: String(port) } });
  await fixture.connect();
  const [target] = await json<{ webSocketDebuggerUrl: string }[]>(`http://127.0.0.1:${port}/json/list`);
  const sources = await sourcesSeenBy(target!.webSocketDebuggerUrl);
  expect(sources).toContain('trainstash:///daemon/server.ts');
});

test.runIf(process.platform === 'linux')(
  'without it no debugger port is open, and what is no port is ignored',
  async () => {
    for (const value of ['', '80', 'yes']) {
      const fixture = makeFixture({ env: { TRAINSTASH_INSPECT: value } });
      await fixture.connect();
      const words = readFileSync(`/proc/${fixture.daemonPid()}/cmdline`, 'utf8').split('\0');
      expect(words.filter((word) => word.startsWith('--inspect'))).toEqual([]);
    }
  },
);

/** Names the sources that the maps of the loaded bundles refer to. */
async function sourcesSeenBy(url: string): Promise<string[]> {
  const socket = new WebSocket(url);
  const maps: string[] = [];
  socket.addEventListener('message', ({ data }) => {
    const { method, params } = JSON.parse(String(data));
    if (method === 'Debugger.scriptParsed' && params.sourceMapURL) {
      maps.push(new URL(params.sourceMapURL, params.url).href);
    }
  });
  await new Promise((done) => socket.addEventListener('open', done, { once: true }));
  socket.send(JSON.stringify({ id: 1, method: 'Debugger.enable' }));
  const named = () =>
    maps.flatMap((href) => {
      const { sourceRoot, sources } = JSON.parse(readFileSync(new URL(href), 'utf8'));
      return (sources as string[]).map((source) => `${sourceRoot}${source}`);
    });
  await until('the debugger has seen the daemon’s bundle', () => named().length > 0);
  const found = named();
  socket.close();
  return found;
}

async function json<T>(url: string): Promise<T> {
  return (await fetch(url)).json() as Promise<T>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}
