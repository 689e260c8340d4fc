import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from '../../../base/log.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('the log never grows beyond twice its limit', () => {
  const path = join(temporaryFolder(), 'daemon.log');
  const log = openLog(path, 10_000);
  for (let i = 0; i < 1_000; i++) log(`line ${i}`);
  expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThan(20_100);
});
