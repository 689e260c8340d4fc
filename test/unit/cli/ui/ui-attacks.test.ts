import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as ask } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { canOpen } from '../../../../cli/ui/browser.ts';
import { UiServer } from '../../../../cli/ui/server.ts';

const said: unknown[] = [];
const entered: boolean[] = [];
let folder: string;
let server: UiServer;
let port: number;
let token: string;
let cookie: string;

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string | string[] | undefined>;
}

function fetched(path: string, headers: Record<string, string> = {}, method = 'GET', body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const own = { host: `127.0.0.1:${port}`, ...headers };
    const request = ask({ host: '127.0.0.1', port, path, method, headers: own }, (response) => {
      if (response.headers['content-type'] === 'text/event-stream') {
        response.destroy();
        resolve({ status: response.statusCode!, body: '', headers: response.headers });
        return;
      }
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode!, body: text, headers: response.headers }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

const ours = () => `http://127.0.0.1:${port}`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trainstash-ui-'));
  for (const name of ['run.js', 'shell.js', 'style.css']) writeFileSync(join(folder, name), name);
  writeFileSync(join(folder, 'secret.txt'), 'not to be served');
  server = new UiServer({
    pages: folder,
    port: 0,
    open: () => ({ take: (message) => said.push(message), answer() {}, dispose() {} }),
    report: async () => 'a report',
    entered: (again) => entered.push(again),
    failed() {},
  });
  const listens = await server.listen();
  port = listens.port;
  token = new URL(listens.link).hash.slice(1);
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

test('the link of the pages works once, from the page itself, and is told when it is tried again', async () => {
  const post = (body: string, headers: Record<string, string> = { origin: ours() }) =>
    fetched('/session', headers, 'POST', body);
  expect((await post('wrong')).status).toBe(403);
  expect((await post(token, {})).status).toBe(403);
  expect((await post(token, { origin: 'http://evil.example' })).status).toBe(403);
  expect((await fetched('/session', { origin: ours() })).status).toBe(405);
  expect(entered).toEqual([]);
  const first = await post(token);
  expect(first.status).toBe(204);
  const [given] = first.headers['set-cookie'] as string[];
  expect(given).toMatch(new RegExp(`^trainstash-${port}=[\\w-]{43}; HttpOnly; SameSite=Strict; Path=/$`));
  cookie = given!.split(';')[0]!;
  const again = await post(token);
  expect(again.status).toBe(403);
  expect(again.headers['set-cookie']).toBeUndefined();
  expect(entered).toEqual([false, true]);
});

test('who comes without the cookie, from another site or by another name gets nothing of the pages', async () => {
  const value = cookie.split('=')[1]!;
  const own = { cookie, origin: ours() };
  const attacks: [number, string, Record<string, string>, string?][] = [
    // No cookie, or a wrong one.
    [401, '/', {}],
    [401, '/run/abc', {}],
    [401, '/report/abc', {}],
    [401, '/stream?page=/', { origin: ours() }],
    [401, '/said?tab=x', { origin: ours() }, 'POST'],
    [401, '/', { cookie: `trainstash-${port}=${value.slice(1)}` }],
    [401, '/', { cookie: `trainstash-${port}=${'x'.repeat(43)}` }],
    [401, '/', { cookie: `trainstash-1=${value}` }],
    [401, '/', { cookie: `xtrainstash-${port}=${value}` }],
    // DNS rebinding: the browser sends the attacker's name, and the cookie in the worst case.
    [421, '/', { cookie, host: 'evil.example' }],
    [421, '/', { cookie, host: `evil.example:${port}` }],
    [421, '/', { cookie, host: '127.0.0.1' }],
    [421, '/', { cookie, host: `127.0.0.1.evil.example:${port}` }],
    [421, '/', { cookie, host: `[::1]:${port}` }],
    [421, '/enter', { host: `evil.example:${port}` }],
    [421, '/assets/run.js', { host: `evil.example:${port}` }],
    [421, '/session', { host: `evil.example:${port}`, origin: `http://evil.example:${port}` }, 'POST'],
    // CSRF: another origin, also one of this machine.
    [403, '/said?tab=x', { cookie }, 'POST'],
    [403, '/said?tab=x', { cookie, origin: 'null' }, 'POST'],
    [403, '/said?tab=x', { cookie, origin: 'http://evil.example' }, 'POST'],
    [403, '/said?tab=x', { cookie, origin: 'http://127.0.0.1:1' }, 'POST'],
    [403, '/said?tab=x', { cookie, origin: `https://127.0.0.1:${port}` }, 'POST'],
    [403, '/said?tab=x', { cookie, origin: `http://localhost:${port}` }, 'POST'],
    [403, '/stream?page=/', { cookie }],
    [403, '/stream?page=/', { cookie, 'sec-fetch-site': 'same-site' }],
    [403, '/stream?page=/', { cookie, 'sec-fetch-site': 'cross-site', origin: 'http://evil.example' }],
    [403, '/', { cookie, origin: 'http://evil.example' }],
    // Other methods, and a preflight.
    [405, '/said?tab=x', { ...own, 'access-control-request-method': 'POST' }, 'OPTIONS'],
    [405, '/', own, 'POST'],
    [405, '/', own, 'PUT'],
    [405, '/', own, 'DELETE'],
    [405, '/said?tab=x', own],
  ];
  for (const [status, path, headers, method] of attacks) {
    const answer = await fetched(path, headers, method);
    expect([path, headers, method, answer.status]).toEqual([path, headers, method, status]);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  }
  expect((await fetched('/', { cookie })).status).toBe(200);
  expect((await fetched('/stream?page=/', own)).status).toBe(200);
  expect((await fetched('/stream?page=/', { cookie, 'sec-fetch-site': 'same-origin' })).status).toBe(200);
  expect(said).toEqual([]);
});

test('the server of the pages gives no file but those of its bundle, and only under strict headers', async () => {
  for (const path of [
    '/assets/../secret.txt',
    '/assets/..%2fsecret.txt',
    '/assets/secret.txt',
    '/../../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/run/..%2f..%2fetc%2fpasswd',
    '/report/../../etc/passwd',
    '//evil.example/',
  ]) {
    const { status, body } = await fetched(path, { cookie });
    expect([path, status < 400]).toEqual([path, false]);
    expect(body).not.toContain('not to be served');
    expect(body).not.toContain('root:');
  }
  const { headers } = await fetched('/run/abc', { cookie });
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(headers['content-security-policy']).not.toContain('unsafe');
  expect(headers['x-content-type-options']).toBe('nosniff');
  expect(headers['cache-control']).toBe('no-store');
});

test('a body that is too large, no message, or for no page is refused', async () => {
  const own = { cookie, origin: ours() };
  expect((await fetched('/said?tab=x', own, 'POST', '{}')).status).toBe(404);
  const stream = ask({
    host: '127.0.0.1',
    port,
    path: '/stream?page=/',
    headers: { host: `127.0.0.1:${port}`, ...own },
  });
  const tab = await new Promise<string>((resolve) => {
    stream.on('response', (response) =>
      response.on('data', (text) => resolve(/"tab":"([^"]+)"/.exec(String(text))![1]!)),
    );
    stream.end();
  });
  const post = (body: string) => fetched(`/said?tab=${tab}`, own, 'POST', body);
  expect((await post('not JSON')).status).toBe(400);
  expect((await post('{"kind":"other"}')).status).toBe(400);
  expect(
    await post('x'.repeat(300_000)).then(
      ({ status }) => status,
      () => 413,
    ),
  ).toBe(413);
  expect(said).toEqual([]);
  expect((await post('{"kind":"said","message":{"say":"ready"}}')).status).toBe(204);
  expect(said).toEqual([{ say: 'ready' }]);
  stream.destroy();
});

test('the server of the pages listens on 127.0.0.1 alone', async () => {
  const others = Object.values(networkInterfaces()).flatMap((list) => list!.filter(({ internal }) => !internal));
  for (const { address, family } of others) {
    if (family !== 'IPv4') continue;
    const refused = await new Promise((resolve) => {
      const socket = connect(port, address, () => resolve(false));
      socket.on('error', () => resolve(true));
    });
    expect([address, refused]).toEqual([address, true]);
  }
});

const asRoot = process.getuid?.() === 0;
test.skipIf(!asRoot)('another user of the machine reaches the port of the pages, and gets nothing', async () => {
  const words = [
    '--reuid',
    '65534',
    '--clear-groups',
    'curl',
    '-s',
    '-o',
    '-',
    '-w',
    '%{http_code}',
    `${ours()}/run/abc`,
  ];
  const child = await import('node:child_process').then(({ spawn }) => spawn('setpriv', words));
  let text = '';
  for await (const piece of child.stdout) text += piece;
  expect(text.slice(-3)).toBe('401');
  expect(text).not.toContain('script');
  expect(spawnSync('setpriv', ['--reuid', '65534', '--clear-groups', 'ls', '/root']).status).not.toBe(0);
});

test('a browser is opened only where somebody sees it', () => {
  expect(canOpen({ platform: 'linux', env: {} })).toBe(false);
  expect(canOpen({ platform: 'linux', env: { DISPLAY: ':0' } })).toBe(true);
  expect(canOpen({ platform: 'darwin', env: { SSH_CONNECTION: '::1' } })).toBe(false);
});
