/** A small file system of its own that fills up, fails, freezes, becomes read-only or loses its power. Needs root, and loop devices. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterwards } from '../support/cleanup.ts';

const DISK_BYTES = 3 * 2 ** 30;

/** `full` and `slow` heal by themselves once over; the others may need `remount`, with nobody on the disk. */
export type Fault = 'full' | 'slow' | 'failing' | 'read-only' | 'power loss';
export const FAULTS: readonly Fault[] = ['full', 'slow', 'failing', 'read-only', 'power loss'];

export class Disk {
  readonly #place: string;
  readonly #memory: string;
  readonly #image: string;

  private constructor(folder: string, place: string) {
    this.#place = place;
    this.#memory = join(folder, 'memory');
    this.#image = join(this.#memory, 'image');
  }

  /** Mounted at `place`; null where that is not possible. */
  static make(folder: string, place: string): Disk | null {
    const disk = new Disk(folder, place);
    mkdirSync(disk.#memory);
    mkdirSync(place, { recursive: true });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk.#memory]);
    if (mounted.status !== 0) return null;
    afterwards(() => {
      spawnSync('umount', ['-l', disk.#place]);
      spawnSync('umount', ['-l', disk.#memory]);
    });
    writeFileSync(disk.#image, '');
    truncateSync(disk.#image, DISK_BYTES);
    const made = spawnSync('mkfs.ext4', ['-q', '-F', '-m', '0', disk.#image]);
    return made.status === 0 && disk.#mount() ? disk : null;
  }

  begin(fault: Fault): void {
    if (fault === 'full') fill(this.#place);
    if (fault === 'failing') fill(this.#memory);
    if (fault === 'slow') execFileSync('fsfreeze', ['-f', this.#place]);
    // As the kernel does it itself when a disk fails: whoever writes gets EROFS.
    if (fault === 'read-only') execFileSync('mount', ['-o', 'remount,abort', this.#place]);
    if (fault === 'power loss') shutDown(this.#place);
  }

  /** True when it is as before; false when it needs `remount`. */
  end(fault: Fault): boolean {
    if (fault === 'slow') execFileSync('fsfreeze', ['-u', this.#place]);
    if (fault === 'full') rmSync(join(this.#place, FILLER), { force: true });
    if (fault === 'failing') rmSync(join(this.#memory, FILLER), { force: true });
    return fault === 'full' || fault === 'slow' || (fault === 'failing' && this.#isWritable());
  }

  /** What a reboot does. False while somebody has a file open there. */
  remount(): boolean {
    if (spawnSync('umount', [this.#place]).status !== 0) return false;
    // 1: errors were corrected.
    const { status, stdout } = spawnSync('fsck.ext4', ['-f', '-y', this.#image], { encoding: 'utf8' });
    if (status !== 0 && status !== 1) throw new Error(`the file system itself was lost: ${stdout}`);
    if (!this.#mount()) throw new Error('the file system could not be mounted again');
    return true;
  }

  #mount(): boolean {
    return spawnSync('mount', ['-o', 'loop', this.#image, this.#place]).status === 0;
  }

  #isWritable(): boolean {
    const probe = join(this.#place, 'probe');
    try {
      writeFileSync(probe, 'x', { flush: true });
      rmSync(probe);
    } catch {
      return false;
    }
    const line = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .find((mount) => mount.split(' ')[1] === this.#place);
    return line !== undefined && !/\b(emergency_)?ro\b/.test(line.split(' ')[3] ?? '');
  }
}

const FILLER = 'filler';

function fill(place: string): void {
  // What was freed a moment ago is given back a moment later: once more.
  for (let i = 0; i < 2; i++) {
    const { bavail, bsize } = statfsSync(place);
    if (bavail > 0) spawnSync('fallocate', ['-o', `${i * DISK_BYTES}`, '-l', `${bavail * bsize}`, join(place, FILLER)]);
  }
}

/** EXT4_IOC_SHUTDOWN without writing the journal: all that was not synced is gone, and everything fails until it is mounted anew. */
function shutDown(place: string): void {
  const program =
    'my $flags = pack("L", 2); open(my $file, "<", $ARGV[0]) or die; ioctl($file, 0x8004587D, $flags) or die $!';
  execFileSync('perl', ['-e', program, place]);
}
