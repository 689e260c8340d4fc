/** File systems small enough to fill. Mounting needs root and a machine that allows it; if it is not possible, a message says so. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { afterwards } from './cleanup.ts';
import { temporaryFolder } from './folder.ts';

const [mountsMemory, mountsImages] = [
  tryMount((folder) => ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]),
  tryMount((folder) => ['-o', 'loop', smallImage(folder), folder]),
];
export const onSmallDisk: ReturnType<typeof test.runIf> = test.runIf(mountsMemory);
export const onImage: ReturnType<typeof test.runIf> = test.runIf(mountsImages);
if (!mountsMemory || !mountsImages)
  console.warn('NOT RUN: tests of full disks and power losses, since this user cannot mount small file systems here');

function tryMount(options: (folder: string) => string[]): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-mount-'));
  try {
    return spawnSync('mount', options(folder)).status === 0 && spawnSync('umount', [folder]).status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.image`, { force: true });
  }
}

function smallImage(folder: string): string {
  const image = `${folder}.image`;
  spawnSync('truncate', ['-s', '8M', image]);
  spawnSync('mkfs.ext4', ['-q', image]);
  return image;
}

/** Makes an empty file system in memory. */
export function smallDisk(mebibytes: number): string {
  const disk = join(temporaryFolder(), 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', disk]);
  afterwards(() => void spawnSync('umount', ['-l', disk]));
  return disk;
}

/** Fills the disk except for `left` bytes. Returns the file to remove for the space to come back. */
export function fill(disk: string, left = 0): string {
  const path = join(disk, 'filler');
  const filler = openSync(path, 'w');
  try {
    for (;;) writeSync(filler, Buffer.alloc(64 << 10, 1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(filler);
  }
  truncateSync(path, statSync(path).size - left);
  return path;
}
