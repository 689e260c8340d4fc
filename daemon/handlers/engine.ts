/** Handlers of the messages about engines. */
import { engineFolder } from '../../protocol/engines.ts';
import { engineAdd, engineList, engineLoad, engineTest } from '../../protocol/messages/engine.ts';
import { readConfig } from '../runs/config.ts';
import { addEngine } from '../runs/engines/add-engine.ts';
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
  // It runs commands that trainstash.json names, such as `ssh`.
  on(engineLoad, 'changes', async ({ root, name }) => {
    const { runs } = await access.trusted(root);
    const { engines } = readConfig(await daemon.rootOf(root)).branches;
    return { load: await runs.engines.loadOf(engines, name) };
  });
  on(engineAdd, 'changes', async ({ root, name, settings }) => {
    await access.trusted(root);
    return addEngine(await daemon.rootOf(root), name, settings);
  });
  on(engineTest, 'changes', async ({ root, name, environment }) => {
    const { context } = await access.trusted(root);
    const { engines } = readConfig(await daemon.rootOf(root)).branches;
    return { findings: await testEngine(context, engines, name, environment) };
  });
}
