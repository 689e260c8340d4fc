/** The first trainstash.json of a project, and the ticks that a newcomer earns. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../../daemon/runs/config.ts';
import { initProject } from '../../../../daemon/runs/init.ts';
import { stepsOf } from '../../../../extension/core/first-ticks.ts';
import type { Notice } from '../../../../protocol/domain.ts';

test.each(['train.py', 'train.ts'])(
  'the file for %s is valid, and so is each choice in it once uncommented',
  (script) => {
    const folder = mkdtempSync(join(tmpdir(), 'trainstash-init-'));
    try {
      const text = readFileSync(initProject(folder, script).config, 'utf8');
      const all = text.replaceAll(/\/\/ (?="\w+": )/g, '');
      expect(all).not.toBe(text);
      for (const each of [text, all]) expect(parseConfig('trainstash.json', each).warnings).toEqual([]);
      const job = parseConfig('trainstash.json', all).jobs.get('train')!;
      expect(job).toMatchObject({ params: { lr: 0.1 }, keep: { last: 3, best: 'val_loss' }, onNaN: 'pause' });
      expect(parseConfig('trainstash.json', text).jobs.get('train')!.checkpoint).toEqual({ every: '1 epoch, 5m' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test('a tick is earned by a training that trains, and by a second session of it', () => {
  const notices: Notice[] = [{ code: 'interrupted', level: 'info', text: '', step: 3, at: 0 }];
  expect(stepsOf({ status: 'running', step: 9, checkpoints: 1, sessions: 2, notices })).toEqual([
    'train',
    'resume',
    'interrupt',
  ]);
  expect(stepsOf({ status: 'failed', step: 0, checkpoints: 0, sessions: 1, notices: [] })).toEqual([]);
  expect(stepsOf({ status: 'running', step: 0, checkpoints: 0, sessions: 1, notices: [] })).toEqual([]);
  expect(stepsOf({ status: 'running', step: 3, checkpoints: 0, sessions: 1, notices: [] })).toEqual(['train']);
  expect(stepsOf({ status: 'completed', step: 0, checkpoints: 0, sessions: 1, notices: [] })).toEqual(['train']);
  expect(stepsOf({ status: 'starting', step: 9, checkpoints: 1, sessions: 2, notices: [] })).toEqual([]);
  expect(stepsOf({ status: 'completed', step: 9, checkpoints: 1, sessions: 2, notices: [] })).toEqual([
    'train',
    'resume',
  ]);
});
