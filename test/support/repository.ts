/** A real git repository with a daemon, whose checkpoint files are declared. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import { branchFollow, branchSync, type SyncResult, stashList } from '../../protocol/messages/branch.ts';
import { type Fixture, makeFixture, openProject } from './daemon.ts';
import { until } from './folder.ts';

export interface Repository {
  fixture: Fixture;
  root: string;
  client: Client;
  git(...args: string[]): string;
  /** Writes a file below the root, as a training would. */
  write(path: string, content: string): void;
  /** Returns the file's content, or null. */
  read(path: string): string | null;
  sync(files?: 'move' | 'stay'): Promise<SyncResult>;
  /** Waits until the store has the files as they are. */
  taken(...paths: string[]): Promise<void>;
}

export const CONFIG = {
  files: ['checkpoints'],
  jobs: { small: { module: 'small.ts', checkpoint: { every: '4 steps' } } },
};

/** Makes a repository. `follow`: the answer to the question; undefined leaves it open. */
export async function makeRepository(
  options: { follow?: boolean; config?: unknown; env?: Record<string, string> } = { follow: true },
): Promise<Repository> {
  const fixture = makeFixture({ config: options.config ?? CONFIG, env: options.env });
  writeFileSync(join(fixture.root, '.gitignore'), 'checkpoints/\n');
  const git = gitIn(fixture.root);
  git('add', '-A');
  git('commit', '-qm', 'ignore checkpoints');
  const client = await openProject(fixture);
  const repository: Repository = {
    fixture,
    root: fixture.root,
    client,
    git,
    write(path, content) {
      mkdirSync(dirname(join(fixture.root, path)), { recursive: true });
      writeFileSync(join(fixture.root, path), content);
      untilNextTick(join(fixture.folder, 'tick'), statSync(join(fixture.root, path)).mtimeMs);
    },
    read: (path) => readOrNull(join(fixture.root, path)),
    sync: (files) => client.request(branchSync, { root: fixture.root, files }),
    async taken(...paths) {
      await until(`the store has ${paths.join(', ')}`, () => paths.every((path) => isTaken(fixture, path)));
    },
  };
  if (options.follow !== undefined) await client.request(branchFollow, { root: fixture.root, follow: options.follow });
  return repository;
}

export function gitIn(root: string): (...args: string[]) => string {
  return (...args) =>
    execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.org', ...args], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
}

export async function stashesOf({ client, root }: Repository) {
  return (await client.request(stashList, { root })).stashes;
}

/** Waits for the kernel's next clock tick, the resolution of file times, so that later files are newer. */
function untilNextTick(scratch: string, time: number): void {
  do writeFileSync(scratch, '');
  while (statSync(scratch).mtimeMs <= time);
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Tells by the worktree's own record whether the file is known as it is, and saved. */
function isTaken({ store }: Fixture, path: string): boolean {
  const folders = execFileSync('find', [join(store, 'worktrees'), '-name', 'files.json'], { encoding: 'utf8' });
  return folders
    .split('\n')
    .filter(Boolean)
    .some((file) =>
      (JSON.parse(readOrNull(file) || '{"files":[]}') as { files: [string, { saved: string | null }][] }).files.some(
        ([name, { saved }]) => name === Buffer.from(path).toString('latin1') && saved !== null,
      ),
    );
}
