/**
 * Exports a layers model through its training: the code of that time builds it, the checkpoint fills it, its own
 * runtime writes it.
 */
import { createReadStream, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { readJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import type { ExportFile, Parity } from '../../protocol/export.ts';
import { exitErrorToWire, exportRecordSchema } from '../../protocol/session.ts';
import { signalRunner } from '../../session/processes.ts';
import { untilEnded } from '../../session/watch.ts';
import { checkOut } from '../code/snapshot.ts';
import { findJob, readConfig } from '../runs/config.ts';
import { prepareSession } from '../runs/launch/prepare.ts';
import { newSession } from '../runs/records.ts';
import { cancelled, type Watcher } from '../tensors/client.ts';
import { OutFile } from '../tensors/output-file.ts';
import type { ExportContext } from './source.ts';

export interface ModelExport {
  run: Run;
  checkpoint: Checkpoint;
  format: 'tfjs' | 'onnx';
  environment: Record<string, string>;
}

/** Exports a model. Rejects with `formatUnavailable` where the model has parts that the format does not support. */
export async function exportModel(
  context: ExportContext,
  { run, checkpoint, format, environment }: ModelExport,
  path: string,
  watcher: Watcher,
): Promise<{ files: ExportFile[]; notes: string[]; parity: Parity | null }> {
  const { store, place } = context;
  await context.requireTrust();
  const body = await store.requireFacts(checkpoint.id);
  const cwd = body.run.code ? await checkOut(place.root, place.store, body.run.code) : place.root;
  const { directory, start } = await prepareSession(context, {
    // The checkpoint's own backend if it is available, else another one: only the weights are written.
    run: { ...run, params: body.run.params, backend: 'auto' },
    session: newSession(run, 'export', { checkpoint: checkpoint.id, step: checkpoint.step }),
    job: findJob(readConfig(place.root), run.job),
    checkpoint,
    root: place.root,
    // Changed data or another backend do not stop an export.
    accept: ['data', 'backend', 'package'],
    environment,
    overrides: { cwd, exportAs: format },
  });
  const end = () => signalRunner(directory, 'SIGKILL');
  try {
    const child = start();
    watcher.signal.addEventListener('abort', end, { once: true });
    if (watcher.signal.aborted) end();
    await untilEnded(directory, new Promise((resolve) => child.once('exit', resolve)));
    if (watcher.signal.aborted) throw cancelled();
    const exit = directory.exit();
    if (exit?.error) throw fromWire(exitErrorToWire(exit.error));
    const folder = directory.file('export');
    const record = v.safeParse(exportRecordSchema, readJson(join(folder, 'export.json')));
    if (!record.success)
      throw new TrainstashError(
        'exportFailed',
        'Nothing was exported: the process that builds the model exited without a result.',
        {
          output: exit?.reason ?? '',
        },
      );
    const { names, notes, parity } = record.output;
    const files: ExportFile[] = [];
    for (const name of names) {
      const target = format === 'tfjs' ? inside(path, name) : path;
      mkdirSync(dirname(target), { recursive: true });
      files.push({ name: format === 'tfjs' ? name : '', ...(await copy(inside(folder, name), target)) });
    }
    return { files, notes, parity };
  } finally {
    watcher.signal.removeEventListener('abort', end);
    rmSync(directory.path, { recursive: true, force: true });
  }
}

async function copy(from: string, to: string): Promise<{ bytes: number; sha256: string }> {
  const file = new OutFile(to, { bytes: statSync(from).size });
  try {
    for await (const piece of createReadStream(from, { highWaterMark: 1 << 20 })) file.write(piece as Buffer);
    return await file.finish();
  } catch (error) {
    file.close();
    throw error;
  }
}
