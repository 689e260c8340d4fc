import { beforeAll, expect, test, vi } from 'vitest';
import type { DashboardNews, RunRow } from '../../extension/pages/messages.ts';

let page: typeof import('../../extension/pages/dashboard-state.ts');

beforeAll(async () => {
  // The only part of the editor that a page needs when it is loaded.
  vi.stubGlobal('acquireVsCodeApi', () => ({ postMessage() {}, setState() {}, getState: () => undefined }));
  page = await import('../../extension/pages/dashboard-state.ts');
});

const row = { id: 'aa', name: 'small #1' } as RunRow;
const everything: DashboardNews = {
  type: 'state',
  state: { root: '/project', project: 'project', rows: [row], loading: false, problem: null },
};

test('after a lost connection the curves that are shown are asked for again, for they may lack their end', () => {
  page.take(everything);
  page.known.asked.add(page.curveKey('aa', 'loss'));
  const { loads } = page.known;
  page.take(everything);
  expect(page.known.asked.size).toBe(0);
  expect(page.known.loads).toBeGreaterThan(loads);
});

test('points alone do not make the table be reckoned anew; another row does', () => {
  page.take(everything);
  const { rowsVersion } = page.known;
  const points = { xs: Float64Array.of(1), ys: Float64Array.of(2), times: Float64Array.of(3) };
  page.take({ type: 'points', run: 'aa', name: 'loss', ...points });
  expect(page.known.rowsVersion).toBe(rowsVersion);
  page.take({ type: 'gone', ids: ['aa'] });
  expect(page.known.rowsVersion).not.toBe(rowsVersion);
  expect(page.known.rows.size).toBe(0);
});
