import type { SessionDirectory } from '../../../session/directory.ts';
import { spawnTrainer } from '../../../session/launch.ts';
import { LEFTOVERS, mayHaveLeftovers, SEEN_ALIVE } from '../../../session/leftovers.ts';
import type { ProjectContext } from '../context.ts';

/** Starts a process that searches the files of a command whose runner has died; resolves after it. */
export async function takeLeftovers(
  { runner, log }: Pick<ProjectContext, 'runner' | 'log'>,
  directory: SessionDirectory,
  wasSeen: boolean,
): Promise<void> {
  if (!mayHaveLeftovers(directory)) return;
  const args = wasSeen ? [LEFTOVERS, SEEN_ALIVE] : [LEFTOVERS];
  const child = spawnTrainer(directory, runner, directory.path, {}, { args });
  await new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      log(`session ${directory.id}: the files that its command had saved could not be searched: ${error.message}`);
      resolve();
    });
  });
}
