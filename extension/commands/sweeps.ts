/** Commands on the row of a sweep. */
import { sweepChange } from '../../protocol/messages/sweep.ts';
import { type App, type Commands, environment } from '../core/app.ts';
import type { Node } from '../views/runs.ts';

export const sweepCommands = {
  pauseSweep: (app: App, node?: Node) => change(app, node, 'pause'),
  resumeSweep: (app: App, node?: Node) => change(app, node, 'resume'),
  stopSweep: (app: App, node?: Node) => change(app, node, 'stop'),
} satisfies Commands;

async function change(app: App, node: Node | undefined, to: 'pause' | 'resume' | 'stop'): Promise<void> {
  if (node?.kind !== 'sweep') return;
  const { root, id } = node;
  const own = to === 'resume' ? { environment: environment() } : {};
  await app.connection.request(sweepChange, { root, sweep: id, to, ...own });
}
