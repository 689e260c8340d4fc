/** Images, histograms and texts that a script writes for TensorBoard, and those that it logs with the package. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mediaList, mediaRead } from '../../protocol/messages/media.ts';
import { commandFixture, start } from '../support/commands.ts';
import { openProject, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/media.tfevents');
/** Copies the file of events there once the run has begun, and waits to be told to end. */
const SCRIPT = `
const { copyFileSync, existsSync, mkdirSync, renameSync } = require('node:fs');
mkdirSync('logs', { recursive: true });
copyFileSync('source', 'logs/half');
renameSync('logs/half', 'logs/events.out.tfevents.1.host.1');
const timer = setInterval(() => existsSync('end') && clearInterval(timer), 50);
`;

test('images, histograms and texts in TensorBoard’s files of a script are kept with its run', async () => {
  const fixture = commandFixture();
  copyFileSync(FIXTURE, join(fixture.root, 'source'));
  writeFileSync(join(fixture.root, 'logs.cjs'), SCRIPT);
  const client = await openProject(fixture);
  const run = await start(client, fixture, [process.execPath, 'logs.cjs']);
  const { root } = fixture;
  const series = await until('the file was read', async () => {
    const found = (await client.request(mediaList, { root, run: run.id })).series;
    return found.length === 3 && found.every(({ items }) => items.length === 2) && found;
  });
  expect(series.map(({ name, kind, items }) => [name, kind, items.map(({ step }) => step)])).toEqual([
    ['digits', 'image', [1, 2]],
    ['sample', 'text', [1, 2]],
    ['weights', 'histogram', [1, 2]],
  ]);
  const read = async (i: number) => {
    const { kind, items } = series[i]!;
    const { session, sum } = items[0]!;
    return client.request(mediaRead, { root, session, sum, kind });
  };
  const image = await read(0);
  expect(image.content).toEqual({ kind: 'image', type: 'image/png', width: 8, height: 8 });
  expect(Buffer.from(image.data, 'base64').subarray(1, 4).toString()).toBe('PNG');
  expect(await read(1)).toEqual({ content: { kind: 'text', text: 'once upon a time, 1' }, data: '', next: null });
  expect((await read(2)).content).toMatchObject({ kind: 'histogram', histogram: { strange: 0 } });
  // The scalars beside them are metrics, as before.
  writeFileSync(join(root, 'end'), '');
  const ended = await untilStatus(client, fixture, run.id, 'completed');
  expect(ended.metrics.loss).toMatchObject({ last: 0.25 });
  // What no session has is nothing, and what leads out of one is refused.
  const nothing = { root, session: series[0]!.items[0]!.session, sum: 'f'.repeat(64), kind: 'image' } as const;
  expect(await client.request(mediaRead, nothing)).toEqual({ content: null, data: '', next: null });
  await expect(client.request(mediaRead, { ...nothing, session: '../..' })).rejects.toThrow();
});
