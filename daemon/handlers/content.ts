/** Handlers of the messages about the content of checkpoints, code and files: differences, exports, inspection. */
import { resolve } from 'node:path';
import { inspect } from '../../inspector/inspect.ts';
import { codeRead, codeRestore, codeSince, diffShow, diffWeights } from '../../protocol/messages/diff.ts';
import { exportFormats, exportWrite } from '../../protocol/messages/export.ts';
import { fileInspect } from '../../protocol/messages/file.ts';
import { codeFile } from '../code/changes.ts';
import { copyOut, takeSnapshot } from '../code/snapshot.ts';
import { changedSince, diff } from '../diff/diff.ts';
import { diffWeights as compareWeights } from '../diff/weights.ts';
import { exportTo, exportFormats as formatsFor } from '../export/export.ts';
import type { OpenProject } from '../runs/project.ts';
import { exportContext } from './exporting.ts';
import type { Handling } from './handling.ts';

/** Page size: as base64 it must fit into a message. */
const CODE_PAGE_BYTES = 512 << 10;

export function contentHandlers({ on, daemon, access }: Handling): void {
  const sidesOf = async (root: string) => {
    const opened = await access.project(root);
    const findCheckpoint = (query: string) => opened.findCheckpoint(query);
    return { store: opened.store, path: opened.place.store, findCheckpoint };
  };
  const exporting = (root: string, opened: OpenProject) => exportContext(daemon, access, root, opened);
  on(diffShow, 'reads', async ({ root, sides, axis }) => diff(await sidesOf(root), sides, axis ?? 'step'));
  on(diffWeights, 'reads', async ({ root, sides, mapping }, _client, task) =>
    compareWeights(await sidesOf(root), daemon.contentWorkers, sides, mapping ?? [], task),
  );

  on(codeRead, 'reads', async ({ root, code, path, offset }) => {
    const bytes = await codeFile((await access.project(root)).place.store, code, path);
    const from = offset ?? 0;
    return { bytes: bytes.subarray(from, from + CODE_PAGE_BYTES).toString('base64'), size: bytes.length };
  });

  on(codeSince, 'reads', async ({ root, run }) => {
    const opened = await access.project(root);
    const { code: then } = await opened.store.findRun(run);
    // A snapshot is written to the store: not to one that nobody has accepted.
    const place = { root: await daemon.rootOf(root), store: opened.place.store };
    const taken = then !== null && opened.isOurs ? await takeSnapshot(place.root, place.store).catch(() => null) : null;
    const now = taken?.tree ?? null;
    if (then === null || now === null || then === now) return { then, now, files: [], more: 0 };
    return { then, now, ...(await changedSince(place.store, then, now)) };
  });

  on(codeRestore, 'changes', async ({ root, source, directory }) => {
    const opened = await access.accepted(root);
    const { code, leftOut } = await opened.codeOf(source);
    const target = resolve(root, directory);
    return { directory: target, files: await copyOut(opened.place.store, code, target), leftOut };
  });

  on(exportFormats, 'reads', async ({ root, source }) => ({
    formats: await formatsFor(exporting(root, await access.project(root)), source),
  }));
  on(exportWrite, 'changes', async ({ root, full, strip, force, ...request }, _client, task) => {
    return exportTo(
      exporting(root, await access.accepted(root)),
      { ...request, full: full ?? false, strip: strip ?? null, force: force ?? false },
      task,
    );
  });

  on(fileInspect, 'reads', (request, client, task) => inspect(daemon.inspectors, client, request, task.signal));
}
