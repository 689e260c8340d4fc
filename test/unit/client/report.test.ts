/** Reports: one file that loads nothing, whatever the runs are called. */
import { expect, test } from 'vitest';
import { chart, ticksOf } from '../../../client/report/chart.ts';
import { html } from '../../../client/report/html.ts';
import { reportOf } from '../../../client/report/report.ts';
import { newRun } from '../../../daemon/runs/records.ts';
import type { Run } from '../../../protocol/domain.ts';

const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e';
const facts = {
  job: 'x',
  params: { [HOSTILE]: HOSTILE },
  overrides: [],
  seed: 0,
  backend: '',
  identity: { branch: HOSTILE, commit: null, dirty: false, code: null, codeLeftOut: [] },
  restarts: 0,
};
const summary = { last: 1, lastStep: 2, min: 1, minStep: 2, max: 3, maxStep: 1, count: 3, notFinite: 0 };

/** Answers as the daemon does, for runs with many long curves. */
function clientOf(runs: readonly Partial<Run>[], points: number) {
  const all = runs.map((more, i) => ({ ...newRun(facts), id: String(i), name: `r${i}`, ...more }));
  const answers: Record<string, (params: { run: string; names: string[]; buckets: number }) => unknown> = {
    'run/show': ({ run }) => ({ run: all[Number(run)], sessions: [], checkpoints: [] }),
    'usage/query': () => ({ series: [] }),
    'diff/show': () => ({ sides: [], code: { files: [] } }),
    'metrics/query': ({ names, buckets }) => {
      const count = Math.min(points, 2 * buckets);
      const steps = Array.from({ length: count }, (_, i) => i * 1234.5678);
      return {
        series: [{ name: names[0], steps, values: steps.map((x) => Math.sin(x) * 1e-7), times: steps, total: points }],
      };
    },
  };
  return { request: async ({ method }: { method: string }, params: never) => answers[method]!(params) } as never;
}

test('names, notes and params stay text', async () => {
  const client = clientOf([{ name: HOSTILE, note: HOSTILE, reason: HOSTILE, metrics: { [HOSTILE]: summary } }], 10);
  const page = await reportOf(client, '/project', ['0']);
  expect(page).not.toMatch(/<script|<img|onerror=alert\(1\)>[^&]*"/);
  expect(page).not.toContain('\u202e');
  expect(page).toContain('&lt;script&gt;');
  expect(page).toContain('default-src &#39;none&#39;');
  expect(page).not.toMatch(/https?:\/\//);
});

test('twenty runs with more metrics than are drawn stay below two megabytes', async () => {
  const metrics = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`metric_${i}`, summary]));
  const runs = Array.from({ length: 20 }, () => ({ metrics }));
  const page = await reportOf(
    clientOf(runs, 1e6),
    '/project',
    runs.map((_, i) => String(i)),
  );
  expect(Buffer.byteLength(page)).toBeLessThan(2e6);
  expect(page.match(/<figure>/g)).toHaveLength(24);
  expect(page).toContain('16 more metrics are not drawn.');
  const ids = Array.from({ length: 21 }, (_, i) => String(i % 20));
  await expect(reportOf(clientOf(runs, 1), '/project', ids)).rejects.toThrow('at most 20 runs');
});

test('a curve breaks where it is not finite, and one without a finite value is not drawn', () => {
  const line = (ys: number[]) => ({ label: 'a', color: 'red', xs: ys.map((_, i) => i), ys });
  const drawn = chart([line([1, 2, Number.NaN, 3, Number.NEGATIVE_INFINITY])])!.text;
  expect(drawn.match(/M/g)).toHaveLength(2);
  expect(drawn.match(/class="strange"/g)).toHaveLength(2);
  expect(chart([line([Number.NaN])])).toBeNull();
  expect(chart([line([5, 5])])!.text).not.toContain('NaN');
  expect(ticksOf(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(html`<b title="${'"'}">${'<'}${null}${[html`<i/>`, 3]}</b>`.text).toBe('<b title="&quot;">&lt;<i/>3</b>');
});
