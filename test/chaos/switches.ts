/** Kills the daemon at random moments while the branch switches, and checks that every file is where it belongs. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../../client/connect.ts';
import { branchSync, type SyncResult } from '../../protocol/messages/branch.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { BUILD, kill } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import type { Repository } from '../support/repository.ts';
import { DIST } from '../support/trainer.ts';

/** Contents by path. */
export type Files = Record<string, string>;

export const ON_MAIN: Files = {
  'checkpoints/last.pt': 'main: last',
  'checkpoints/a/best.pt': 'main: best',
  'checkpoints/same.pt': 'main',
};
export const ON_OTHER: Files = {
  'checkpoints/last.pt': 'other: last',
  'checkpoints/b/only.pt': 'other: only',
  'checkpoints/same.pt': 'other',
};

/** Gives both branches their files; HEAD is on main, and no daemon runs. */
export async function prepareBranches(repository: Repository): Promise<void> {
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  await repository.sync();
  repository.git('switch', '-q', 'other');
  await repository.sync();
  for (const [path, text] of Object.entries(ON_OTHER)) repository.write(path, text);
  await repository.sync();
  repository.git('switch', '-q', 'main');
  await repository.sync();
  for (const [path, text] of Object.entries(ON_MAIN)) repository.write(path, text);
  await repository.taken(...Object.keys(ON_MAIN));
  await repository.fixture.cli('daemon', 'stop');
  await repository.client.closed;
}

export function filesOf(root: string): Files {
  const folder = join(root, 'checkpoints');
  mkdirSync(folder, { recursive: true });
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(root.length + 1), readFileSync(path, 'utf8')];
    }),
  );
}

/** Syncs over a connection of its own; `env` is added if a daemon has to be started. */
export async function syncWith(repository: Repository, env: Record<string, string> = {}): Promise<SyncResult> {
  const all = { ...repository.fixture.env, ...env };
  const client = await connect({ name: 'test', build: BUILD, dist: DIST, env: all });
  try {
    // A project copied to another disk has a store that was made elsewhere.
    await client.request(projectOpen, { root: repository.root, trusted: true, acceptStore: true });
    return await client.request(branchSync, { root: repository.root });
  } finally {
    client.close();
  }
}

/** Returns what was lost; empty if all is well. */
export async function switchRounds(repository: Repository, kills: number, random: () => number): Promise<string[]> {
  const losses: string[] = [];
  const expectFiles = (branch: string, wanted: Files, when: string) => {
    const found = filesOf(repository.root);
    for (const path of new Set([...Object.keys(found), ...Object.keys(wanted)]))
      if (found[path] !== wanted[path]) losses.push(`${when}, on ${branch}: ${path} is ${found[path] ?? 'gone'}`);
  };
  for (let round = 1; round <= kills; round++) {
    const to = round % 2 === 1 ? 'other' : 'main';
    repository.git('switch', '-q', to);
    rmSync(join(repository.fixture.folder, 'state/daemon.json'), { force: true });
    let over = false;
    const syncing = syncWith(repository)
      .catch(() => {})
      .finally(() => {
        over = true;
      });
    const pid = await until('the daemon lives, or could not', () => daemonPid(repository) ?? (over && -1));
    await new Promise((resolve) => setTimeout(resolve, random() * 150));
    if (pid > 0) kill(pid, 'SIGKILL');
    await syncing;
    if (round % 10 !== 0) continue;
    for (const [branch, wanted] of [
      ['other', ON_OTHER],
      ['main', ON_MAIN],
    ] as const) {
      repository.git('switch', '-q', branch);
      await syncWith(repository);
      expectFiles(branch, wanted, `after ${round} kills`);
    }
  }
  return losses;
}

function daemonPid({ fixture }: Repository): number | null {
  try {
    return fixture.daemonPid();
  } catch {
    return null;
  }
}
