import { expect, onTestFinished, test } from 'vitest';
import { Throttle } from '../../../extension/core/throttle.ts';
import { until } from '../../support/folder.ts';

test('the first request is drawn soon, later ones together, and none after the end', async () => {
  const drawn: number[] = [];
  const throttle = new Throttle(300, () => drawn.push(performance.now()));
  onTestFinished(() => throttle.dispose());
  throttle.request();
  await until('the first is drawn', () => drawn.length === 1);
  for (let i = 0; i < 5; i++) throttle.request();
  expect(drawn).toHaveLength(1);
  await until('the others are drawn', () => drawn.length > 1);
  // Timers go by another clock than Date, in whole milliseconds.
  expect(drawn[1]! - drawn[0]!).toBeGreaterThan(290);
  throttle.request();
  throttle.dispose();
  // Another one that is due later has drawn meanwhile.
  let others = 0;
  const other = new Throttle(310, () => {
    others++;
    if (others === 1) other.request();
  });
  other.request();
  await until('the other has drawn twice', () => others === 2);
  expect(drawn).toHaveLength(2);
});
