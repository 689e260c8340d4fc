/** Alternatives for keeping checkpoints: each stores one file at a time, restores it, and forgets it. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { openDatabase } from '../base/sqlite.ts';
import { installFromDebian } from '../scripts/debian.ts';
import { repository } from './git.ts';

export interface Peer {
  name: string;
  /** Stores the file under a label, durably. */
  add(file: string, label: string): void | Promise<void>;
  restore(label: string, target: string): void | Promise<void>;
  /** Forgets the labels, and frees the space that it can. */
  forget(labels: readonly string[]): void | Promise<void>;
  /** Returns the bytes on disk, without the source file. */
  bytes(): number | Promise<number>;
  close?(): void | Promise<void>;
}

/** Debian packages by command. */
const PACKAGES = { 'git-lfs': 'git-lfs', 'git-annex': 'git-annex', restic: 'restic', borg: 'borgbackup' };

/** Installs the alternatives as root on Debian; elsewhere missing ones are left out, with a message. */
export function installPeers(): void {
  const missing = Object.entries(PACKAGES).filter(([command]) => !isHere(command));
  installFromDebian(...missing.map(([, name]) => name));
}

function isHere(command: string): boolean {
  return spawnSync('which', [command]).status === 0;
}

/** Lists the installed alternatives, each with a folder of its own. */
export function peersIn(folder: string): Peer[] {
  const makers: [command: string, make: (folder: string) => Peer][] = [
    ['cp', copies],
    ['cp', blobs],
    ['git-lfs', lfs],
    ['git-annex', annex],
    ['restic', restic],
    ['borg', borg],
  ];
  return makers.flatMap(([command, make], i) => {
    if (!isHere(command)) {
      console.error(`storage: ${command} is not installed here`);
      return [];
    }
    const own = join(folder, `peer-${i}`);
    mkdirSync(own);
    return [make(own)];
  });
}

/** Copies files as `torch.save` leaves them. */
function copies(folder: string): Peer {
  const path = (label: string) => join(folder, `${label}.pt`);
  const copy = (from: string, to: string) => {
    run(folder, 'cp', '--reflink=auto', from, to);
    synced(to);
  };
  return {
    name: 'cp --reflink=auto',
    add: (file, label) => copy(file, path(label)),
    restore: (label, target) => copy(path(label), target),
    forget: (labels) => labels.forEach((label) => void rmSync(path(label))),
    bytes: () => diskBytes(folder),
  };
}

/** Stores files in a table of blobs, as anybody would write it. */
function blobs(folder: string): Peer {
  const path = join(folder, 'checkpoints.db');
  const database = openDatabase(path);
  database.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE kept (label TEXT PRIMARY KEY, data BLOB)',
  );
  return {
    name: 'SQLite blobs, WAL',
    add: (file, label) => void database.prepare('INSERT INTO kept VALUES (?, ?)').run(label, readFileSync(file)),
    restore: (label, target) => {
      writeFileSync(target, database.prepare('SELECT data FROM kept WHERE label = ?').get(label)!.data);
      synced(target);
    },
    forget(labels) {
      for (const label of labels) database.prepare('DELETE FROM kept WHERE label = ?').run(label);
      database.exec('VACUUM');
    },
    bytes() {
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      return diskBytes(folder);
    },
    close: () => database.close(),
  };
}

/** Commits one file of the worktree again and again; a label is a tag. */
function lfs(folder: string): Peer {
  const git = repository(folder);
  git('lfs', 'install', '--local');
  git('lfs', 'track', '*.pt');
  git('add', '.gitattributes');
  git('commit', '-qm', 'track');
  return {
    name: 'git-lfs',
    add(file, label) {
      copyFileSync(file, join(folder, 'model.pt'));
      git('add', 'model.pt');
      git('commit', '-q', '--allow-empty', '-m', label);
      git('tag', label);
    },
    restore(label, target) {
      git('checkout', '-q', label, '--', 'model.pt');
      copyFileSync(join(folder, 'model.pt'), target);
    },
    forget() {
      // Commits refer to all of them: `git lfs prune` could only delete some after the history is rewritten.
    },
    bytes: () => diskBytes(join(folder, '.git')),
  };
}

function annex(folder: string): Peer {
  const git = repository(folder);
  git('annex', 'init', '-q');
  const path = (label: string) => join(folder, `${label}.pt`);
  return {
    name: 'git-annex',
    add(file, label) {
      copyFileSync(file, path(label));
      git('annex', 'add', '-q', basename(path(label)));
      git('commit', '-qm', label);
    },
    restore(label, target) {
      copyFileSync(path(label), target);
      synced(target);
    },
    forget(labels) {
      for (const label of labels) git('annex', 'drop', '-q', '--force', basename(path(label)));
    },
    bytes: () => diskBytes(join(folder, '.git')),
  };
}

function restic(folder: string): Peer {
  const env = { ...process.env, RESTIC_PASSWORD: 'bench', RESTIC_REPOSITORY: join(folder, 'repository') };
  const call = (...args: string[]) =>
    void execFileSync('restic', ['-q', '--no-cache', ...args], { env, stdio: 'pipe' });
  call('init');
  return {
    name: 'restic',
    add: (file, label) => call('backup', '--tag', label, file),
    restore(label, target) {
      const out = `${target}-folder`;
      call('restore', 'latest', '--tag', label, '--target', out);
      copyBack(out, target);
    },
    forget(labels) {
      const listed = execFileSync('restic', ['--no-cache', 'snapshots', '--json'], { env, encoding: 'utf8' });
      const snapshots = JSON.parse(listed) as { id: string; tags: string[] }[];
      const ids = snapshots.filter(({ tags }) => labels.includes(tags[0]!)).map(({ id }) => id);
      call('forget', '--prune', ...ids);
    },
    bytes: () => diskBytes(folder),
  };
}

function borg(folder: string): Peer {
  const repository = join(folder, 'repository');
  const env = { ...process.env, BORG_BASE_DIR: folder, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' };
  const call = (cwd: string, ...args: string[]) => void execFileSync('borg', args, { env, cwd, stdio: 'pipe' });
  call(folder, 'init', '-e', 'none', repository);
  return {
    name: 'borg, zstd',
    add: (file, label) => call(folder, 'create', '-C', 'zstd', `${repository}::${label}`, file),
    restore(label, target) {
      const out = `${target}-folder`;
      mkdirSync(out);
      call(out, 'extract', `${repository}::${label}`);
      copyBack(out, target);
    },
    forget(labels) {
      for (const label of labels) call(folder, 'delete', `${repository}::${label}`);
      call(folder, 'compact', repository);
    },
    bytes: () => diskBytes(repository),
  };
}

/** Moves the only file of a restored tree to the target. */
function copyBack(tree: string, target: string): void {
  const [found] = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  run(tree, 'mv', join(found!.parentPath, found!.name), target);
  synced(target);
  rmSync(tree, { recursive: true });
}

function run(cwd: string, command: string, ...args: string[]): void {
  execFileSync(command, args, { cwd, stdio: 'pipe' });
}

function synced(path: string): void {
  const file = openSync(path, 'r+');
  fsyncSync(file);
  closeSync(file);
}

/** Returns the space that the file system allocated. */
export function diskBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0);
}
