import { beforeAll, expect, test, vi } from 'vitest';
import type { DashboardNews, RunRow } from '../../webview-ui/contract.ts';

let page: typeof import('../../webview-ui/shared/received.ts');

beforeAll(async () => {
  // The only part of the editor that a page needs when it is loaded.
  vi.stubGlobal('acquireVsCodeApi', () => ({ postMessage() {}, setState() {}, getState: () => undefined }));
  page = await import('../../webview-ui/shared/received.ts');
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
