/**
 * The private copy that daemon, workers and trainers run from. An update may delete this client's own folder while a training
 * of several days is using it.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { randomId } from '../protocol/ids.ts';
import type { Build } from '../protocol/version.ts';

const KEPT_RUNTIMES = 3;

/** Returns the folder of a copy of `dist`, made if missing. Asynchronous: an extension host must not block on copying 20 MB. */
export async function privateRuntime(dist: string, runtimes: string, build: Build): Promise<string> {
  const target = join(runtimes, `${build.version}-${build.builtAt}`);
  if (existsSync(join(target, 'daemon.js'))) return target;
  await mkdir(runtimes, { recursive: true });
  const temporary = `${target}.tmp-${randomId()}`;
  await cp(dist, temporary, { recursive: true, filter: (source) => isForThisPlatform(source.slice(dist.length)) });
  try {
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Another client may have been faster.
    if (!existsSync(join(target, 'daemon.js'))) throw error;
  }
  return target;
}

/** Deletes old runtimes. The daemon calls it when no training is live, since one may still load files from its runtime. */
export function pruneRuntimes(runtimes: string, present: string): void {
  const others = readdirSync(runtimes)
    .map((name) => join(runtimes, name))
    .filter((path) => path !== present)
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const path of others.slice(KEPT_RUNTIMES - 1)) rmSync(path, { recursive: true, force: true });
}

function isForThisPlatform(path: string): boolean {
  // Only the editor loads it, from where it was installed.
  if (path === `${sep}extension`) return false;
  const name = /prebuilds[/\\](?<name>[^/\\]+)\.node$/.exec(path)?.groups?.name;
  if (!name) return !path.includes(`${sep}.tmp`);
  const { platform, arch } = process;
  return name === `${platform}-${arch}` || name === `${platform}musl-${arch}`;
}
