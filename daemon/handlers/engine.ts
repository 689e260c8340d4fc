/** Handlers of the messages about engines. */
import { engineFolder } from '../../protocol/engines.ts';
import { engineList, engineTest } from '../../protocol/messages/engine.ts';
import { readConfig } from '../runs/config.ts';
import { testEngine } from '../runs/engines/test-engine.ts';
import type { Handling } from './handling.ts';

export function engineHandlers({ on, daemon, access }: Handling): void {
  on(engineList, 'reads', async ({ root }) => {
    const { runs } = await access.project(root);
    const { engines } = readConfig(await daemon.rootOf(root)).branches;
    return {
      engines: Object.entries(engines).map(([name, config]) => ({
        name,
        type: config.type,
        host: config.host ?? null,
        folder: engineFolder(config),
        runs: runs.engines.countOn(name),
      })),
    };
  });
  on(engineTest, 'changes', async ({ root, name, environment }) => {
    const { context } = await access.trusted(root);
    const { engines } = readConfig(await daemon.rootOf(root)).branches;
    return { findings: await testEngine(context, engines, name, environment) };
  });
}
