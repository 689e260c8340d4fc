import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DashboardNews, RunRow } from '../../../webview-ui/contract.ts';

let page: typeof import('../../../webview-ui/shared/received.ts');

beforeAll(async () => {
  // The only part of the editor that a page needs when it is loaded.
  vi.stubGlobal('acquireVsCodeApi', () => ({ postMessage() {}, setState() {}, getState: () => undefined }));
  page = await import('../../../webview-ui/shared/received.ts');
});

const row = { id: 'aa', name: 'small #1' } as RunRow;
const everything: DashboardNews = {
  type: 'state',
  state: { root: '/project', project: 'project', rows: [row], loading: false, problem: null },
};

test('after a lost connection the curves that are shown are asked for again, for they may lack their end', () => {
  page.receive(everything);
  page.received.asked.add(page.curveKey('aa', 'loss'));
  const { loads } = page.received;
  page.receive(everything);
  expect(page.received.asked.size).toBe(0);
  expect(page.received.loads).toBeGreaterThan(loads);
});

test('points alone do not make the table be reckoned anew; another row does', () => {
  page.receive(everything);
  const { rowsVersion } = page.received;
  const points = { xs: Float64Array.of(1), ys: Float64Array.of(2), times: Float64Array.of(3) };
  page.receive({ type: 'points', run: 'aa', name: 'loss', ...points });
  expect(page.received.rowsVersion).toBe(rowsVersion);
  page.receive({ type: 'gone', ids: ['aa'] });
  expect(page.received.rowsVersion).not.toBe(rowsVersion);
  expect(page.received.rows.size).toBe(0);
});

function points(...xs: number[]) {
  return {
    run: 'aa',
    name: 'loss',
    xs: Float64Array.from(xs),
    ys: Float64Array.from(xs),
    times: Float64Array.from(xs),
  };
}
const shown = () => [...page.received.curves.get(page.curveKey('aa', 'loss'))!.xs];
const answer = (...xs: number[]) => page.receive({ type: 'curve', from: null, to: null, ...points(...xs) });
const announce = (...xs: number[]) => page.receive({ type: 'points', ...points(...xs) });

describe('a curve of a run that is training', () => {
  beforeEach(() => {
    page.received.curves.clear();
    page.receive(everything);
    page.received.asked.add(page.curveKey('aa', 'loss'));
  });

  test('has the points that came while its answer was on its way', () => {
    announce(3);
    announce(4);
    answer(1, 2, 3);
    announce(5);
    expect(shown()).toEqual([1, 2, 3, 4, 5]);
    // Asked for again, with two points on their way.
    announce(6, 7);
    answer(1, 2, 3, 4, 5);
    expect(shown()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('takes the part of an announcement that it lacks', () => {
    answer(1, 2, 3);
    announce(2, 3, 4);
    expect(shown()).toEqual([1, 2, 3, 4]);
  });

  test('forgets the points after the step from which a run goes on', () => {
    answer();
    announce(8, 9);
    announce(5);
    answer(1, 2, 3, 4);
    expect(shown()).toEqual([1, 2, 3, 4, 5]);
  });

  test('keeps no points of runs that are not shown, and a bounded number of the others', () => {
    page.receive({ type: 'points', ...points(1), run: 'bb' });
    for (let step = 0; step < 3000; step += 100) announce(...Array.from({ length: 100 }, (_, i) => step + i));
    expect([...page.received.newest.values()].map(({ xs }) => xs.length)).toEqual([1000]);
    page.receive(everything);
    expect(page.received.newest.size).toBe(0);
  });
});
