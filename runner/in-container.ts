/** Puts the command of a session into its container, on this machine. */
import { dirname, join } from 'node:path';
import type { Container } from '../protocol/containers.ts';
import type { Launch } from '../protocol/session.ts';
import { containedWords, containerProgram, gpusHere } from '../session/container.ts';
import type { SessionDirectory } from '../session/directory.ts';

export interface Outside {
  words: readonly string[];
  variables: Record<string, string>;
  /** Folder with the Python package. */
  packages: string;
  /** Number of this process among those of the run's nodes. */
  rank?: number;
}

/** Returns the words that start it. Throws if no program here runs containers. */
export function inContainer(
  container: Container,
  launch: Launch,
  directory: SessionDirectory,
  { words, variables, packages, rank = 0 }: Outside,
): string[] {
  const { root, run, session, cwd, command } = launch;
  // A folder that an engine's nodes see has a checkpoint beside the sessions; a store has all checkpoints there.
  const sessions = dirname(directory.path);
  const given = launch.resume && dirname(join(directory.path, launch.resume.directory));
  return containedWords({
    container,
    program: containerProgram(container, variables),
    words,
    cwd: command!.cwd,
    variables,
    ambient: process.env,
    folders: [root, cwd, sessions, command!.dir, ...(given ? [given] : [])],
    packages,
    session: rank === 0 ? session : `${session}-${rank}`,
    run: `${run ?? session}-${rank}`,
    user: process.getuid && process.getgid ? { uid: process.getuid(), gid: process.getgid() } : null,
    hasGpus: gpusHere(),
  });
}
