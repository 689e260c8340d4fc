import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nextChange, watchFolders } from '../../../base/watch.ts';
import { temporaryFolder, until } from '../../support/folder.ts';

const NEVER_MS = 1_000_000;

test('each of two moves within milliseconds is told, and the last one after it is there', async () => {
  const folder = temporaryFolder();
  let told = 0;
  const watch = watchFolders([folder], {
    hint: (name) => void (name === 'HEAD' && told++),
    look: () => {},
    everyMs: NEVER_MS,
  });
  for (let i = 0; i < 20; i++) {
    writeFileSync(join(folder, 'HEAD.lock'), String(i));
    renameSync(join(folder, 'HEAD.lock'), join(folder, 'HEAD'));
    await sleep(i % 2);
  }
  await until('all are told', () => Promise.resolve(told >= 20));
  watch.close();
});

test('a folder that is missing or goes away has its looks', async () => {
  const folder = temporaryFolder();
  let looks = 0;
  const watch = watchFolders([join(folder, 'missing'), folder], { hint: () => {}, look: () => looks++, everyMs: 5 });
  rmSync(folder, { recursive: true });
  await until('it looks', () => Promise.resolve(looks > 2));
  watch.close();
});

test('a wait ends with a change that it is about, in its time, and when it is aborted', async () => {
  const folder = temporaryFolder();
  const change = nextChange([folder], { withinMs: NEVER_MS, isOf: (name) => name === 'output.log' });
  let ended = false;
  void change.promise.then(() => {
    ended = true;
  });
  writeFileSync(join(folder, 'other'), '1');
  await sleep(20);
  expect(ended).toBe(false);
  writeFileSync(join(folder, 'output.log'), '1');
  await change.promise;
  change.close();

  const brief = nextChange([folder], { withinMs: 1 });
  await brief.promise;
  brief.close();

  const aborted = new AbortController();
  const waiting = nextChange([folder], { withinMs: NEVER_MS, signal: aborted.signal });
  aborted.abort();
  await waiting.promise;
  waiting.close();
  const late = nextChange([folder], { withinMs: NEVER_MS, signal: AbortSignal.abort() });
  await late.promise;
  late.close();
});
