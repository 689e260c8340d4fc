/** Exports a checkpoint, or a run's metrics, in formats of other tools. */
import type { Checkpoint } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { ExportFile, ExportFormat, ExportManifest, ExportResult, Parity } from '../../protocol/export.ts';
import { runContentRequest, type Watcher } from '../tensors/client.ts';
import { runExportCommand } from './command.ts';
import { type ExportSource, formatsOf, isMetricsFormat } from './formats.ts';
import { writeMetrics } from './metrics.ts';
import { exportModel } from './model.ts';
import { type ExportContext, findSource } from './source.ts';
import { Target } from './target.ts';

export interface ExportRequest {
  /** Checkpoint to export; for a run its newest. */
  source: string;
  format: string;
  /** Absolute path; must not exist unless `force`. */
  path: string;
  /** True for all tensors, not only the weights. */
  full: boolean;
  /** Prefix to remove from names; null: the prefixes of containers and wrappers. */
  strip: string | null;
  force: boolean;
  /** Environment of the user, for commands of jobs. */
  environment: Record<string, string>;
  interpreter?: string;
}

interface Written {
  files: ExportFile[];
  notes: string[];
  parity: Parity | null;
}

/** Lists the formats for a source. Rejects with `notFound`. */
export async function exportFormats(context: ExportContext, query: string): Promise<ExportFormat[]> {
  return formatsOf(await findSource(context, query));
}

/**
 * Exports a source. Rejects with `formatUnavailable`, `outputExists`, `outputUnusable`, `cancelled`, `corrupted`; then
 * nothing is left behind.
 */
export async function exportTo(
  context: ExportContext,
  request: ExportRequest,
  watcher: Watcher,
): Promise<ExportResult> {
  const source = await findSource(context, request.source);
  const found = checkFormat(formatsOf(source), request.format);
  const target = new Target(context.place.store, request.path, request.force);
  try {
    const written = await write(context, source, request, target, watcher);
    const { format } = found;
    target.publish(manifestOf(source, format, written));
    return { format, path: target.path, manifest: target.manifest, ...written };
  } finally {
    target.close();
  }
}

async function write(
  context: ExportContext,
  source: ExportSource,
  request: ExportRequest,
  target: Target,
  watcher: Watcher,
): Promise<Written> {
  const { store, contentWorkers } = context;
  const { run, checkpoint } = source;
  const { format, full, strip } = request;
  const path = target.temporary;
  if (isMetricsFormat(format)) {
    // For a checkpoint up to its step; for a run all.
    const range = checkpoint && !source.isRun ? { toStep: checkpoint.step } : {};
    const series = await store.queryMetrics(run.id, range);
    return { ...(await writeMetrics(format, run, series, path)), parity: null };
  }
  const id = checkpoint!.id;
  if (source.commands.includes(format))
    return runExportCommand(context, { ...request, run, checkpoint: checkpoint! }, target, watcher);
  switch (format) {
    case 'original':
      return {
        ...(await runContentRequest(contentWorkers, store, { do: 'exportOriginal', checkpoint: id, path }, watcher)),
        parity: null,
      };
    case 'safetensors':
    case 'npz':
    case 'pdparams':
    case 'state_dict': {
      const metadata = metadataOf(source);
      const work = { do: 'exportTensors' as const, checkpoint: id, format, full, strip, path, metadata };
      return { ...(await runContentRequest(contentWorkers, store, work, watcher)), parity: null };
    }
    case 'tfjs':
    case 'onnx':
      return exportModel(
        context,
        { run, checkpoint: checkpoint!, format, environment: request.environment },
        path,
        watcher,
      );
  }
  throw new Error(`no writer for ${format}`);
}

function checkFormat(formats: readonly ExportFormat[], wanted: string): ExportFormat {
  const available = formats.filter(({ unavailable }) => unavailable === null).map(({ format }) => format);
  const found = formats.find(({ format }) => format === wanted);
  if (found?.unavailable === null) return found;
  throw new TrainstashError(
    'formatUnavailable',
    found
      ? `It cannot be exported as ${wanted}: ${found.unavailable}. Available formats: ${available.join(', ')}.`
      : `There is no format "${wanted}". Available formats: ${available.join(', ')}.`,
    { format: wanted, available },
  );
}

/** Makes the metadata for safetensors' header, which holds only texts. */
function metadataOf({ run, checkpoint }: ExportSource): Record<string, string> {
  return {
    format: 'pt',
    'trainstash.run': run.id,
    'trainstash.checkpoint': checkpoint!.id,
    'trainstash.step': String(checkpoint!.step),
    ...(run.commit ? { 'trainstash.commit': run.commit } : {}),
  };
}

function manifestOf({ run, checkpoint }: ExportSource, format: string, written: Written): ExportManifest {
  return {
    trainstash: 1,
    format,
    exportedAt: new Date().toISOString(),
    run: { id: run.id, number: run.number, name: run.name, job: run.job },
    branch: run.branch,
    commit: run.commit,
    dirty: run.dirty,
    checkpoint: isMetricsFormat(format) || !checkpoint ? null : summaryOf(checkpoint),
    params: run.params,
    metrics: isMetricsFormat(format) || !checkpoint ? run.metrics : checkpoint.metrics,
    ...written,
  };
}

function summaryOf({ id, step, epoch, grade, stateDigest }: Checkpoint): ExportManifest['checkpoint'] {
  return { id, step, epoch, grade, stateDigest };
}
