import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { temporaryFolder } from '../../../support/folder.ts';

/** Loads the file with a disk that fails once and then works, as the one call sees it that no disk here lets fail. */
async function onFailingDisk(): Promise<typeof import('../../../../daemon/tensors/output-file.ts')> {
  vi.resetModules();
  vi.doMock('node:fs', async (original) => ({
    ...(await original<typeof import('node:fs')>()),
    fdatasync: (_file: number, told: (error: Error | null) => void) =>
      setImmediate(told, Object.assign(new Error('EIO'), { code: 'ENOSPC' })),
  }));
  // Unit tests share their modules.
  onTestFinished(() => {
    vi.doUnmock('node:fs');
    vi.resetModules();
  });
  return import('../../../../daemon/tensors/output-file.ts');
}

test('a failure that only an early sync was told of is told at the end: the kernel tells each once', async () => {
  const { OutFile } = await onFailingDisk();
  const path = join(temporaryFolder(), 'out');
  const file = new OutFile(path, { bytes: 0 });
  for (let i = 0; i < 65; i++) file.write(new Uint8Array(1 << 20));
  await expect(file.finish()).rejects.toMatchObject({ code: 'outputUnusable', data: { problem: 'the disk is full' } });
  file.close();
  expect(existsSync(path)).toBe(true);
  rmSync(path);
});
