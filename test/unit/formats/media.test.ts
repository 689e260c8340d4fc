/** Images, histograms, tables and texts: only what is really one is shown, whatever a file says. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listMedia, readMediaItem } from '../../../daemon/runs/media.ts';
import { imageFacts } from '../../../formats/images.ts';
import { readEvents } from '../../../formats/tfevents.ts';
import { mediaOf } from '../../../formats/tfevents-media.ts';
import type { MediaKind } from '../../../protocol/media.ts';
import { MEDIA_RULES } from '../../../protocol/media-rules.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { MediaWriter, readMedia } from '../../../session/media.ts';
import { holdMedium, media, receiveMedia, useMedium } from '../../../webview-ui/shared/media-store.ts';
import { newestUpTo } from '../../../webview-ui/shared/newest-up-to.ts';
import { temporaryFolder } from '../../support/folder.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/media.tfevents');

function png(width: number, height: number): Buffer {
  const bytes = Buffer.alloc(33);
  bytes.write('\x89PNG\r\n\x1a\n', 0, 'latin1');
  bytes.writeUInt32BE(13, 8);
  bytes.write('IHDR', 12, 'latin1');
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  return bytes;
}

/** A store with one session. */
function store() {
  const folder = temporaryFolder();
  const place = { store: folder } as never;
  const path = join(folder, 'sessions', 'one');
  mkdirSync(join(path, 'media'), { recursive: true });
  const directory = new SessionDirectory(path);
  /** Puts a content and its line there, as somebody who means harm could. */
  const put = (kind: MediaKind, content: Buffer, name = 'x', step: unknown = 1, list = 'media.ndjson') => {
    const sum = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(path, 'media', sum), content);
    const line = JSON.stringify({ t: 0, step, name, kind, sum, bytes: content.length });
    writeFileSync(join(path, list), `${line}\n`, { flag: 'a' });
    return sum;
  };
  const read = (kind: MediaKind, sum: string, offset?: number) =>
    readMediaItem({ place }, { session: 'one', sum, kind, offset }).content;
  return { place, path, directory, put, read };
}

test('what only says that it is an image is not shown as one', () => {
  const { put, read } = store();
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>');
  const html = Buffer.from('<html><script>alert(1)</script>');
  for (const content of [
    svg,
    html,
    Buffer.alloc(0),
    Buffer.from('\x89PNG'),
    png(0, 5),
    Buffer.from([0xff, 0xd8, 0xff]),
  ])
    expect(read('image', put('image', content))).toBeNull();
  // A few bytes that a page would unpack to gigabytes.
  expect(read('image', put('image', png(60_000, 60_000)))).toBeNull();
  expect(read('image', put('image', png(4_000, 4_000)))).toMatchObject({ type: 'image/png', width: 4_000 });
  expect(read('histogram', put('histogram', Buffer.from('{"edges":["a"],"counts":[1]}')))).toBeNull();
  expect(read('table', put('table', Buffer.from('{"columns":[{}],"rows":[],"total":1}')))).toBeNull();
  expect(read('table', put('table', Buffer.from('[')))).toBeNull();
});

test('a content that was changed, linked or is too large is gone', () => {
  const { directory, path, put, read } = store();
  const sum = put('text', Buffer.from('as it was'));
  expect(read('text', sum)).toEqual({ kind: 'text', text: 'as it was' });
  writeFileSync(join(path, 'media', sum), 'something else');
  expect(read('text', sum)).toBeNull();
  const linked = 'a'.repeat(64);
  writeFileSync(join(path, 'secret'), 'not yours');
  symlinkSync(join(path, 'secret'), join(path, 'media', linked));
  expect(() => readMedia(directory, linked)).toThrow();
  const large = Buffer.alloc(MEDIA_RULES.itemBytes + 1);
  expect(read('image', put('image', large))).toBeNull();
});

test('a run lists its media by name and step, the newest of a step, and none that a resume has hidden', () => {
  const { place, put } = store();
  put('text', Buffer.from('one'), 'b', 1);
  put('text', Buffer.from('two'), 'b', 2);
  const again = put('text', Buffer.from('again'), 'b', 1);
  put('image', png(2, 2), 'a', 1, 'runner-media.ndjson');
  put('text', Buffer.from('odd'), '', 1);
  put('text', Buffer.from('odd'), 'b', 'x');
  const { series, next } = listMedia({ place }, [{ session: 'one', to: 1 }], 0);
  expect(next).toBeNull();
  expect(series.map(({ name, items }) => [name, items.map(({ step }) => step)])).toEqual([
    ['a', [1]],
    ['b', [1]],
  ]);
  expect(series[1]!.items[0]!.sum).toBe(again);
  expect(listMedia({ place }, [{ session: 'gone', to: 9 }], 0)).toEqual({ series: [], next: null });
});

test('a long list comes in pages, each item once', () => {
  const { place, path } = store();
  const line = (name: string, step: number) =>
    JSON.stringify({ t: 0, step, name, kind: 'text', sum: 'b'.repeat(64), bytes: 1 });
  const lines = Array.from({ length: 12_000 }, (_, i) => line(i < 6_500 ? 'a' : 'b', i));
  writeFileSync(join(path, 'media.ndjson'), `${lines.join('\n')}\n`);
  const found: string[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page: ReturnType<typeof listMedia> = listMedia({ place }, [{ session: 'one', to: Infinity }], after);
    expect(JSON.stringify(page).length).toBeLessThan(1 << 20);
    for (const { name, items } of page.series) found.push(...items.map(({ step }) => `${name}${step}`));
    after = page.next;
  }
  expect(found).toHaveLength(12_000);
  expect(new Set(found).size).toBe(12_000);
});

test('TensorBoard’s own file gives images, histograms and texts', () => {
  const { media, scalars } = readEvents(readFileSync(FIXTURE))!;
  expect(scalars.map(({ tag, step }) => [tag, step])).toEqual([
    ['loss', 1],
    ['loss', 2],
  ]);
  expect(media.map(({ tag, step, kind }) => [tag, step, kind])).toEqual(
    [1, 2].flatMap((step) => [
      ['digits', step, 'image'],
      ['weights', step, 'histogram'],
      ['sample', step, 'text'],
    ]),
  );
  expect(imageFacts(media[0]!.content)).toEqual({ type: 'image/png', width: 8, height: 8 });
  const { edges, counts } = JSON.parse(Buffer.from(media[1]!.content).toString());
  expect(edges).toHaveLength(counts.length + 1);
  expect(counts.reduce((sum: number, count: number) => sum + count, 0)).toBe(1_000);
  expect(edges).toEqual([...edges].sort((a, b) => a - b));
});

test('a damaged summary gives nothing, and nothing else', () => {
  for (const number of [4, 5, 8, 9])
    for (const bytes of [
      Buffer.from('nothing'),
      Buffer.from([0x32, 3, 1, 2, 3]),
      Buffer.alloc(0),
      Buffer.alloc(99, 255),
    ])
      expect(mediaOf([{ number, bytes }])).toEqual([]);
  const whole = readFileSync(FIXTURE);
  for (let at = 40; at < whole.length; at += 97) {
    const damaged = Buffer.from(whole);
    damaged[at] = damaged[at]! ^ 0xff;
    expect(() => readEvents(damaged)).not.toThrow();
  }
});

test('a runner keeps equal contents once, says once what it leaves out, and never fails', () => {
  const { directory, path } = store();
  const writer = new MediaWriter(directory);
  for (const step of [1, 2]) expect(writer.add({ t: 0, step, name: 'a', kind: 'image' }, png(2, 2))).toBeNull();
  const large = new Uint8Array(MEDIA_RULES.itemBytes + 1);
  expect(writer.add({ t: 0, step: 3, name: 'a', kind: 'image' }, large)).toMatch(/not kept/);
  expect(writer.add({ t: 0, step: 4, name: 'a', kind: 'image' }, large)).toBeNull();
  expect(readFileSync(join(path, 'runner-media.ndjson'), 'utf8').trim().split('\n')).toHaveLength(2);
});

test('a slider shows the newest of each side that is not after the step', () => {
  const items = [1, 5, 9].map((step) => ({ step, session: '', sum: '', bytes: 0 }));
  expect([0, 1, 4, 5, 100].map((step) => newestUpTo(items, step)?.step)).toEqual([undefined, 1, 1, 5, 9]);
  expect(newestUpTo([], 3)).toBeUndefined();
});

test('contents that are shown stay, however many they are, and the longest unused are forgotten once they are not', () => {
  const content = { kind: 'text', text: 'x' } as const;
  const sums = Array.from({ length: 150 }, (_, i) => `sum ${i}`);
  const releases = sums.map(holdMedium);
  for (const sum of sums) receiveMedia({ type: 'mediaContent', sum, kind: 'text', content, bytes: null });
  expect(sums.filter((sum) => !useMedium(sum))).toEqual([]);
  // One is shown twice.
  const second = holdMedium(sums[0]!);
  for (const release of releases) release();
  expect(media.kept.size).toBe(100);
  expect(useMedium(sums[0]!)).toBeDefined();
  expect(useMedium(sums[1]!)).toBeUndefined();
  second();
  expect(media.shown.size).toBe(0);
});
