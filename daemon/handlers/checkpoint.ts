/** Handlers of the messages about one checkpoint. */
import { resolve } from 'node:path';
import {
  checkpointRestore,
  checkpointShow,
  checkpointTag,
  checkpointVerify,
} from '../../protocol/messages/checkpoint.ts';
import { requirePlainTag } from '../models/tags.ts';
import type { Handling } from './handling.ts';

export function checkpointHandlers({ on, access }: Handling): void {
  on(checkpointShow, 'reads', async ({ root, checkpoint: query }) =>
    (await access.project(root)).findCheckpoint(query),
  );
  on(checkpointTag, 'changes', async ({ root, checkpoint: query, tag, remove }) => {
    const opened = await access.project(root);
    if (!remove) requirePlainTag(tag);
    const checkpoint = await opened.findCheckpoint(query);
    const tagged = await opened.store.tag(checkpoint.id, tag, remove ?? false);
    // Other windows show it, and remotes get it.
    opened.context.announce.checkpoint(tagged);
    return tagged;
  });
  on(checkpointVerify, 'changes', async ({ root, checkpoint: query, environment }) => {
    const opened = await access.trusted(root);
    return opened.verifier.verify(await opened.findVerifiable(query), environment);
  });
  on(checkpointRestore, 'changes', async ({ root, checkpoint: query, directory }) => {
    const opened = await access.accepted(root);
    const checkpoint = await opened.findCheckpoint(query);
    const target = resolve(root, directory);
    return { directory: target, ...(await opened.store.restoreCheckpoint(checkpoint.id, target)) };
  });
}
