/** Handlers of the messages about images, histograms, tables and texts. */
import { mediaList, mediaRead } from '../../protocol/messages/media.ts';
import { listMedia, readMediaItem } from '../runs/media.ts';
import type { Handling } from './handling.ts';

export function mediaHandlers({ on, access }: Handling): void {
  on(mediaList, 'reads', async ({ root, run, after }) => {
    const { context, store } = await access.project(root);
    const { id } = await store.findRun(run);
    return listMedia(context, await store.lineage(id), after ?? 0);
  });
  on(mediaRead, 'reads', async ({ root, ...item }) => {
    const { context } = await access.project(root);
    return readMediaItem(context, item);
  });
}
