import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeMetrics } from '../../../../daemon/export/metrics.ts';
import type { Run } from '../../../../protocol/domain.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const NAMES = ['loss', 'step', 'seconds', 'step (metric)', 'Step', ''];

test('a metric that is called as a column of ours gets a column of its own, and a note', async () => {
  const path = join(temporaryFolder(), 'm.csv');
  const series = NAMES.map((name, i) => ({ name, steps: [1], values: [i], times: [0.5], total: 1 }));
  const { notes } = await writeMetrics('csv', {} as Run, series, path);
  const [head, row] = readFileSync(path, 'utf8').split('\r\n');
  const columns = head!.split(',');
  expect(columns).toEqual([
    'step',
    'seconds',
    'loss',
    'step (metric) (metric)',
    'seconds (metric)',
    'step (metric)',
    'Step',
    '',
  ]);
  expect(new Set(columns).size).toBe(columns.length);
  expect(row).toBe('1,0.5,0,1,2,3,4,5');
  expect(notes).toEqual([
    'The metric "step" has the column "step (metric) (metric)".',
    'The metric "seconds" has the column "seconds (metric)".',
  ]);
});
