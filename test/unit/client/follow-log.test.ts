import { expect, test } from 'vitest';
import { nextLogPage } from '../../../client/follow-log.ts';
import type { LogPage } from '../../../protocol/messages/metrics.ts';

const PLACE = { root: '/', run: '1', offset: 0 };

/** Stands for a daemon of an earlier version, which answers at once, whatever it is asked to wait. */
function atOnce(page: LogPage) {
  return <_P, R>(): Promise<R> => Promise.resolve(page as R);
}

test('a daemon that does not wait is not asked again at once', async () => {
  let isOver = false;
  const page = nextLogPage(atOnce({ text: '', offset: 0, ended: false }), PLACE).then(() => {
    isOver = true;
  });
  // All that needs no timer has happened after a turn of the loop.
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  await page;
});

test.each([
  { text: 'a', offset: 1, ended: false },
  { text: '', offset: 0, ended: true },
])('what there is comes without a pause: %j', async (page) => {
  let isOver = false;
  void nextLogPage(atOnce(page), PLACE).then(() => {
    isOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(true);
});
