/** Packs a folder into a stream, by the `tar` that Linux, macOS and Windows have. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface Packed {
  stream: Readable;
  /** True once all of the folder was written into the stream. */
  isWhole: Promise<boolean>;
}

export function packFolder(folder: string): Packed {
  const child = spawn('tar', ['-cf', '-', '-C', folder, '.'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
  });
  const isWhole = new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });
  // Its reader may end before it does.
  child.stdout.on('error', () => {});
  return { stream: child.stdout, isWhole };
}
