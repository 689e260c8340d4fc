/** A read of a run's output that waits for it: the answer comes with the output, not with the next look of a poll. */
import { expect, onTestFinished, test } from 'vitest';
import type { PageProject } from '../../pages/host.ts';
import { RunFeed } from '../../pages/run-feed.ts';
import { LOG_WAIT_MS, logRead } from '../../protocol/messages/metrics.ts';
import { runInput, runStop } from '../../protocol/messages/run.ts';
import type { DashboardNews } from '../../webview-ui/contract.ts';
import { commandFixture, start } from '../support/commands.ts';
import { openProject, show, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';

// Echoes what is typed by itself, so that the terminal's own echo is no answer.
const WORDS = ['sh', '-c', 'stty -echo; echo ready; while read line; do echo "got $line"; done'];

test.skipIf(process.platform === 'win32')(
  'a waiting read answers with what is printed, and with the end of the run',
  async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, WORDS);
    const at = { root: fixture.root, run: run.id };
    let offset = 0;
    await until('it is ready', async () => {
      const page = await client.request(logRead, { ...at, offset });
      offset = page.offset;
      return page.text.includes('ready');
    });

    let isAnswered = false;
    const waiting = client.request(logRead, { ...at, offset, waitMs: LOG_WAIT_MS }).finally(() => {
      isAnswered = true;
    });
    // An answer to a later request shows that the daemon has the first one, and goes on beside it.
    await show(client, fixture, run.id);
    expect(isAnswered).toBe(false);
    await client.request(runInput, { ...at, text: 'one\r' });
    const page = await waiting;
    expect(page).toMatchObject({ text: expect.stringContaining('got one'), ended: false });

    const ending = client.request(logRead, { ...at, offset: page.offset, waitMs: LOG_WAIT_MS });
    await client.request(runStop, { ...at, force: true });
    await untilStatus(client, fixture, run.id, 'stopped', 'failed', 'lost');
    let last = await ending;
    while (!last.ended) last = await client.request(logRead, { ...at, offset: last.offset, waitMs: LOG_WAIT_MS });
    expect(last).toMatchObject({ text: '', ended: true });
  },
);

test.skipIf(process.platform === 'win32')('a reader that leaves while it waits leaves nothing behind', async () => {
  const fixture = commandFixture();
  const client = await openProject(fixture);
  const run = await start(client, fixture, WORDS);
  const other = await openProject(fixture);
  const left = other.request(logRead, { root: fixture.root, run: run.id, offset: 1_000, waitMs: LOG_WAIT_MS });
  await show(other, fixture, run.id);
  other.close();
  await expect(left).rejects.toThrow();
  expect(
    (await client.request(logRead, { root: fixture.root, run: run.id, offset: 0, waitMs: LOG_WAIT_MS })).text,
  ).toContain('ready');
});

test.skipIf(process.platform === 'win32')(
  'a page is posted what a run prints, and nothing once it follows another',
  async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, WORDS);
    const posted: Extract<DashboardNews, { type: 'log' }>[] = [];
    const failures: unknown[] = [];
    const connection = { request: client.request.bind(client), poll: client.request.bind(client) };
    const project = { root: fixture.root, connection } as unknown as PageProject;
    const host = {
      post: (news: DashboardNews) => void (news.type === 'log' && posted.push(news)),
      failed: (error: unknown) => void failures.push(error),
    };
    const feed = new RunFeed(project, host, { offer() {}, looked() {} }, () => run);
    onTestFinished(() => feed.dispose());
    const shown = () => posted.map(({ text }) => text).join('');
    feed.take({ say: 'log', run: run.id });
    await until('what was printed before is posted', () => shown().includes('ready'));
    expect(posted.map(({ first }) => first)).toEqual([true, ...posted.slice(1).map(() => false)]);
    await client.request(runInput, { root: fixture.root, run: run.id, text: 'one\r' });
    await until('what it prints now is posted', () => shown().includes('got one'));
    feed.take({ say: 'log', run: null });
    const before = posted.length;
    await client.request(runInput, { root: fixture.root, run: run.id, text: 'two\r' });
    await until('it is printed', async () =>
      (await client.request(logRead, { root: fixture.root, run: run.id, offset: 0 })).text.includes('got two'),
    );
    expect(posted).toHaveLength(before);
    expect(failures).toEqual([]);
    await client.request(runStop, { root: fixture.root, run: run.id, force: true });
  },
);

test('a longer wait than the longest is refused', async () => {
  const fixture = commandFixture();
  const client = await openProject(fixture);
  const asked = client.request(logRead, { root: fixture.root, run: '1', offset: 0, waitMs: LOG_WAIT_MS + 1 });
  await expect(asked).rejects.toMatchObject({ code: 'invalidParams' });
});
