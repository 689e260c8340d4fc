/** Handlers of the messages about sweeps. */
import type { Params } from '../../protocol/domain.ts';
import { sweepChange, sweepList, sweepShow, sweepStart } from '../../protocol/messages/sweep.ts';
import type { Handling } from './handling.ts';

export function sweepHandlers({ on, daemon, access }: Handling): void {
  const sweeps = async (root: string) => daemon.sweepsOf(await access.project(root));
  on(sweepStart, 'changes', async ({ root, params, set, ...options }) => {
    const project = await access.trusted(root);
    const place = await daemon.rootOf(root);
    return daemon.sweepsOf(project).start({ ...options, root: place, set: set as never, params: params as Params });
  });
  on(sweepList, 'reads', async ({ root }) => ({ sweeps: await (await sweeps(root)).list() }));
  on(sweepShow, 'reads', async ({ root, sweep }) => (await sweeps(root)).show(sweep));
  on(sweepChange, 'changes', async ({ root, sweep, to, environment, interpreter }) => {
    // Going on runs code; ending something needs no trust.
    const project = to === 'resume' ? await access.trusted(root) : await access.accepted(root);
    return daemon.sweepsOf(project).change(sweep, to, environment && { environment, interpreter });
  });
}
