import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { OutFile } from '../../../../daemon/tensors/output-file.ts';
import { temporaryFolder } from '../../../support/folder.ts';

/** Replaces the one call that sees a disk fail once and then work, which no disk here does. */
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  fdatasync: (_file: number, told: (error: Error | null) => void) =>
    setImmediate(told, Object.assign(new Error('EIO'), { code: 'ENOSPC' })),
}));

test('a failure that only an early sync was told of is told at the end: the kernel tells each once', async () => {
  const path = join(temporaryFolder(), 'out');
  const file = new OutFile(path, { bytes: 0 });
  for (let i = 0; i < 65; i++) file.write(new Uint8Array(1 << 20));
  await expect(file.finish()).rejects.toMatchObject({ code: 'outputUnusable', data: { problem: 'the disk is full' } });
  file.close();
  expect(existsSync(path)).toBe(true);
  rmSync(path);
});
