/** Commands that run in containers. */
import { isAbsolute } from 'node:path';
import type { Container } from '../../../protocol/containers.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { containerProgram, NoContainerProgram } from '../../../session/container.ts';
import { resolveProgram } from './interpreter.ts';

/**
 * Returns the program of a command in a container: a word of the image, but for one of the project, which is there as well. Throws
 * `containerUnusable` if nothing on this machine runs containers.
 */
export function programInside(
  container: Container,
  words: readonly string[],
  where: Parameters<typeof resolveProgram>[1],
): string {
  try {
    containerProgram(container, where.environment);
  } catch (error) {
    if (!(error instanceof NoContainerProgram)) throw error;
    const { image } = container;
    const problem = error.message;
    throw new TrainstashError(
      'containerUnusable',
      `No program here runs the container ${image}: ${problem}. Nothing was started. Install podman, docker or apptainer, or start Docker's daemon.`,
      { image, problem },
    );
  }
  const [program] = words as [string, ...string[]];
  const isOfProject = /\//.test(program) && !isAbsolute(program);
  return isOfProject ? resolveProgram(words, where)[0] : program;
}
