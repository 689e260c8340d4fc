import type { CommandShape } from './arguments.ts';
import type { Context } from './context.ts';

export interface Command extends CommandShape {
  summary: string;
  /** Runs the command and resolves with the exit code. */
  run(context: Context): Promise<number>;
}
