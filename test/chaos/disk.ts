/** A small file system that fills up, fails, freezes, becomes read-only or loses power. Needs root and loop devices. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterwards } from '../support/cleanup.ts';

const DISK_BYTES = 3 * 2 ** 30;

/** Kinds of faults. `full` and `slow` heal by themselves; the others may need `remount`, with no open files on the disk. */
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

  /** Makes a disk mounted at `place`; null if that is not possible. */
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
    // The kernel does this itself when a disk fails: writers get EROFS.
    if (fault === 'read-only') execFileSync('mount', ['-o', 'remount,abort', this.#place]);
    if (fault === 'power loss') shutDown(this.#place);
  }

  /** Ends a fault. Returns false if the disk needs `remount`. */
  end(fault: Fault): boolean {
    if (fault === 'slow') execFileSync('fsfreeze', ['-u', this.#place]);
    if (fault === 'full') rmSync(join(this.#place, FILLER), { force: true });
    if (fault === 'failing') rmSync(join(this.#memory, FILLER), { force: true });
    return fault === 'full' || fault === 'slow' || (fault === 'failing' && this.#isWritable());
  }

  /** Does what a reboot does. Returns false while some process has a file open there. */
  remount(): boolean {
    if (spawnSync('umount', [this.#place]).status !== 0) return false;
    // Exit code 1: errors were corrected.
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
  // Freed space becomes available a moment later, so it fills twice.
  for (let i = 0; i < 2; i++) {
    const { bavail, bsize } = statfsSync(place);
    if (bavail > 0) spawnSync('fallocate', ['-o', `${i * DISK_BYTES}`, '-l', `${bavail * bsize}`, join(place, FILLER)]);
  }
}

/** Calls EXT4_IOC_SHUTDOWN without writing the journal: unsynced data is lost, and everything fails until the next mount. */
function shutDown(place: string): void {
  const program =
    'my $flags = pack("L", 2); open(my $file, "<", $ARGV[0]) or die; ioctl($file, 0x8004587D, $flags) or die $!';
  execFileSync('perl', ['-e', program, place]);
}
