/** Says where a launch goes: to an engine, or to this machine. */
import { HERE_NAME } from '../../../protocol/engines.ts';
import { unusable } from '../../engines/errors.ts';
import type { RunControl } from '../control.ts';

export interface Wanted extends Pick<RunControl, 'gpu' | 'priority' | 'after' | 'at' | 'urgent'> {
  engine?: string | undefined;
  nodes?: number | undefined;
}

/** Options about the queue and the devices of this machine, as the command line names them. */
const ONLY_HERE = { gpu: '--gpu', priority: '--priority', after: '--after', at: '--at', urgent: '--urgent' } as const;

/**
 * Names the engine that a launch goes to; null: it trains here. Throws `engineUnusable` for options that mean nothing there, since a
 * launch that ignored them would not be the one that was asked for.
 */
export function destinationOf(options: Wanted, ofJob: string | undefined): string | null {
  const name = options.engine ?? ofJob ?? HERE_NAME;
  const { nodes = 1 } = options;
  if (name === HERE_NAME) {
    if (nodes > 1) throw unusable('this machine', `it is one node; \`--on ENGINE\` sends a run of ${nodes} nodes away`);
    return null;
  }
  for (const [key, option] of Object.entries(ONLY_HERE))
    if (options[key as keyof typeof ONLY_HERE] !== undefined)
      throw unusable(name, `${option} is about the devices and the queue of this machine; \`--on here\` trains here`);
  return name;
}
