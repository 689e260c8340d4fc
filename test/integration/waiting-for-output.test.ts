/** A read of a run's output that waits for it: the answer comes with the output, not with the next look of a poll. */
import { expect, test } from 'vitest';
import { LOG_WAIT_MS, logRead } from '../../protocol/messages/metrics.ts';
import { runInput, runStop } from '../../protocol/messages/run.ts';
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

test('a longer wait than the longest is refused', async () => {
  const fixture = commandFixture();
  const client = await openProject(fixture);
  const asked = client.request(logRead, { root: fixture.root, run: '1', offset: 0, waitMs: LOG_WAIT_MS + 1 });
  await expect(asked).rejects.toMatchObject({ code: 'invalidParams' });
});
