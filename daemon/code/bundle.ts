/** Carries code snapshots to another store and back, as git bundles. One that comes in is untrusted. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { randomId } from '../../protocol/ids.ts';
import { GitError, git, requireObjectId } from './git.ts';
import { safeShadow } from './shadow.ts';
import { openShadow } from './snapshot.ts';

const PLAIN = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' };

/** Tells whether the store has a snapshot. */
export async function hasSnapshot(store: string, tree: string): Promise<boolean> {
  requireObjectId(tree);
  const shadow = safeShadow(store);
  try {
    await git(['rev-parse', '-q', '--verify', `refs/snapshots/${tree}^{tree}`], {
      cwd: store,
      env: { ...PLAIN, GIT_DIR: shadow },
    });
    return true;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  }
}

/** Makes a bundle of a snapshot; null: the store does not have it. */
export async function bundleOf(store: string, tree: string): Promise<Uint8Array | null> {
  if (!(await hasSnapshot(store, tree))) return null;
  const env = { ...PLAIN, GIT_DIR: safeShadow(store) };
  const bundle = await git(['bundle', 'create', '-q', '-', `refs/snapshots/${tree}`], {
    cwd: store,
    env,
    encoding: 'latin1',
  });
  return Buffer.from(bundle, 'latin1');
}

/**
 * Takes the snapshot out of a bundle, which is written to `scratch` meanwhile. Returns false if the bundle is damaged, or has another
 * tree than that: then the store has not changed.
 */
export async function unbundle(store: string, tree: string, bundle: Uint8Array, scratch: string): Promise<boolean> {
  requireObjectId(tree);
  if (await hasSnapshot(store, tree)) return true;
  const env = { ...PLAIN, GIT_DIR: await openShadow(store) };
  const options = { cwd: store, env };
  const ref = `refs/incoming/${randomId()}`;
  try {
    mkdirSync(dirname(scratch), { recursive: true });
    writeFileSync(scratch, bundle, { flag: 'wx', mode: 0o600 });
    const checks = ['-c', 'fetch.fsckObjects=true', '-c', 'transfer.fsckObjects=true'];
    const quiet = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules'];
    await git([...checks, 'fetch', ...quiet, scratch, `refs/snapshots/${tree}:${ref}`], options);
    if ((await git(['rev-parse', `${ref}^{tree}`], options)).trim() !== tree) return false;
    const commit = (await git(['rev-parse', `${ref}^{commit}`], options)).trim();
    await git(['update-ref', `refs/snapshots/${tree}`, commit], options);
    return true;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  } finally {
    await git(['update-ref', '-d', ref], options).catch(() => {});
    rmSync(scratch, { force: true });
  }
}

/** Lists the first commits of a repository's history; null without one, or where the history is cut off. */
export async function rootCommits(root: string): Promise<string[] | null> {
  try {
    if ((await git(['rev-parse', '--is-shallow-repository'], { cwd: root })).trim() === 'true') return null;
    const roots = (await git(['rev-list', '--max-parents=0', '--max-count=100', 'HEAD'], { cwd: root })).split('\n');
    return roots.filter(Boolean);
  } catch (error) {
    if (error instanceof GitError) return null;
    throw error;
  }
}
