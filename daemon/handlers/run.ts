/** Handlers of the messages about starting, changing and ending runs. */
import {
  queueSupply,
  runCheckpoint,
  runEnvironment,
  runFork,
  runInput,
  runPause,
  runPreflight,
  runRemove,
  runResume,
  runStart,
  runStartArray,
  runStop,
  runUpdate,
} from '../../protocol/messages/run.ts';
import { requirePlainTag } from '../models/tags.ts';
import type { Handling } from './handling.ts';

export function runHandlers({ on, daemon, access }: Handling): void {
  on(runStart, 'changes', async ({ root, params, ...options }) =>
    (await access.trusted(root)).runs.start({ ...options, root: await daemon.rootOf(root), params: params as never }),
  );
  on(runStartArray, 'changes', async ({ root, params, sets, ...options }) =>
    (await access.trusted(root)).runs.startAll(
      { ...options, root: await daemon.rootOf(root), params: params as never },
      sets.map((set) => ({ ...params, ...set }) as never),
    ),
  );
  on(runPreflight, 'reads', async ({ root, set, environment, ...options }) => {
    const worktree = await daemon.rootOf(root);
    // No interpreter of an untrusted folder is asked for its versions.
    const { runs, isOurs } = await access.project(root);
    const trustedOnly = daemon.isTrusted(worktree) && isOurs ? { environment } : {};
    return runs.preflight({ ...options, ...trustedOnly, root: worktree, set: set as never });
  });
  on(runResume, 'changes', async ({ root, set, ...options }) =>
    (await access.trusted(root)).runs.resume({ ...options, root: await daemon.rootOf(root), set: set as never }),
  );
  on(runEnvironment, 'changes', async ({ root, ...options }, _client, task) =>
    (await access.trusted(root)).runs.rebuildEnvironment({ ...options, root: await daemon.rootOf(root) }, task),
  );
  on(runFork, 'changes', async ({ root, set, ...options }) =>
    (await access.trusted(root)).runs.fork({ ...options, root: await daemon.rootOf(root), set: set as never }),
  );
  on(runPause, 'changes', async ({ root, run, accept }) =>
    (await access.project(root)).runs.requests.pause(run, accept),
  );
  on(runInput, 'changes', async ({ root, run, text, columns, rows }) => {
    const { runs } = await access.project(root);
    if (text) await runs.requests.input(run, { text });
    if (columns && rows) await runs.requests.input(run, { columns, rows });
    return {};
  });
  on(runStop, 'changes', async ({ root, run, force }) =>
    (await access.project(root)).runs.requests.stop(run, force ?? false),
  );
  on(runCheckpoint, 'changes', async ({ root, run, tag }) => {
    if (tag) requirePlainTag(tag);
    const { runs, store } = await access.project(root);
    const checkpoint = await runs.requests.checkpoint(run);
    return tag ? store.tag(checkpoint.id, tag, false) : checkpoint;
  });
  on(runUpdate, 'changes', async ({ root, run: query, name, note }) => {
    const { store, runs } = await access.project(root);
    const run = await store.findRun(query);
    return runs.rename(run, { name: name ?? run.name, note: note ?? run.note });
  });
  on(runRemove, 'changes', async ({ root, target, undo }) => {
    const { trash } = await access.project(root);
    const each = await trash.remove(typeof target === 'string' ? [target] : target, undo ?? false);
    const bytes = each.reduce((sum, one) => sum + one.bytes, 0);
    return { removed: each.flatMap(({ removed }) => removed), bytes, each };
  });

  on(queueSupply, 'changes', async ({ root, environment, interpreter }) => {
    const { runs } = await access.trusted(root);
    runs.queued.offer({ environment, interpreter });
    await daemon.device.changed();
    return {};
  });
}
