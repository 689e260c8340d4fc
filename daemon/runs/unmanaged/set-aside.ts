/** Stores checkpoints that an earlier version could not read and set aside, if they are complete by now. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../../../protocol/domain.ts';
import type { SessionDirectory } from '../../../session/directory.ts';
import { isSetAside } from '../../../session/sweep.ts';
import type { ProjectContext } from '../context.ts';
import { keepPolicy } from '../live/keep-policy.ts';
import { intactSessions } from './attach.ts';

export async function storeSetAside(context: ProjectContext, isLive: (run: string) => boolean): Promise<void> {
  for (const directory of intactSessions(context)) {
    const { id } = directory;
    const names = directory.claimed().filter(isSetAside);
    if (names.length === 0) continue;
    const session = await context.store.session(id);
    const run = session && (await context.store.run(session.run));
    if (!run || isLive(run.id)) continue;
    let stored = 0;
    for (const name of names) {
      const path = join(directory.file('taking'), name);
      try {
        await context.store.saveCheckpoint({ directory: path, run, session }, 0);
      } catch (error) {
        context.log(`${path} stays set aside: ${(error as Error).message}`);
        continue;
      }
      rmSync(path, { recursive: true, force: true });
      stored++;
    }
    if (stored > 0) await announceStored(context, run, directory, stored);
  }
}

async function announceStored(
  { store, announce }: ProjectContext,
  run: Run,
  directory: SessionDirectory,
  taken: number,
) {
  await store.applyRetention(run.id, keepPolicy(run, directory.launch()));
  const text = `${taken} ${taken === 1 ? 'checkpoint' : 'checkpoints'} that an earlier version could not read ${taken === 1 ? 'is' : 'are'} in the store now.`;
  const notice = { code: 'recovered', level: 'info' as const, text, step: null, at: Date.now() };
  announce.run(await store.changeRun(run.id, { set: { draft: false }, addNotices: [notice], recount: true }));
}
