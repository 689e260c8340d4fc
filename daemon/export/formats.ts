/** Lists the formats of a checkpoint or run, with the file name for each. Pure. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import type { BuiltInFormat, ExportFormat } from '../../protocol/export.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';

export interface ExportSource {
  run: Run;
  /** Null: the run has none; its metrics can be exported anyway. */
  checkpoint: Checkpoint | null;
  /** True if the query named a run, not a checkpoint. */
  isRun: boolean;
  /** Names of the checkpoint's files. */
  files: readonly string[];
  /** True if it was taken after an epoch's last batch. */
  endsEpoch: boolean;
  /** Formats with an export command in the job. */
  commands: readonly string[];
}

const DESCRIPTIONS: Record<BuiltInFormat, string> = {
  safetensors: 'tensors by name',
  state_dict: 'a .pt that torch.load(weights_only=True) reads',
  npz: 'NumPy arrays by name',
  pdparams: 'what paddle.load reads',
  tfjs: 'a layers model for TensorFlow.js',
  onnx: 'a layers model for ONNX runtimes',
  original: "the checkpoint's own files, byte for byte",
  tfevents: "the run's metrics, for TensorBoard",
  csv: "the run's metrics, for spreadsheets",
  json: "the run's metrics",
};

/** Suffixes of names; a name without an extension is a folder. */
const ENDINGS: Record<BuiltInFormat, string> = {
  safetensors: '.safetensors',
  state_dict: '.pt',
  npz: '.npz',
  pdparams: '.pdparams',
  tfjs: '_tfjs',
  onnx: '.onnx',
  original: '_original',
  tfevents: '_tensorboard',
  csv: '_metrics.csv',
  json: '_metrics.json',
};

/** Formats with another memory layout than PyTorch: their numbers under PyTorch's names would be wrong. */
const NOT_TORCH = /\.(pdparams|pdopt|h5|hdf5|keras|npz)$/i;

/** TensorFlow's own checkpoints and models, Orbax: only the names of their tensors are known. */
const NUMBERS_ELSEWHERE = /(\.data-\d{5}-of-\d{5}|(^|\/)(saved_model\.pb|_METADATA|manifest\.ocdbt))$/;

export function formatsOf(source: ExportSource): ExportFormat[] {
  const own = (Object.keys(DESCRIPTIONS) as BuiltInFormat[]).map((format) => ({
    format,
    description: DESCRIPTIONS[format],
    unavailable: unavailableReason(source, format),
    name: nameOf(source, format),
  }));
  const commands = source.commands
    .filter((name) => !Object.hasOwn(DESCRIPTIONS, name))
    .map((name) => ({
      format: name,
      description: "by the job's own command",
      unavailable: source.checkpoint ? null : 'the run has no checkpoint',
      name: `${stemOf(source)}.${slug(name)}`,
    }));
  // A command in the job takes precedence: the job knows its checkpoints better.
  const withCommands = own.map((format) =>
    source.commands.includes(format.format) && source.checkpoint
      ? { ...format, description: "by the job's own command", unavailable: null }
      : format,
  );
  return [...withCommands, ...commands];
}

function unavailableReason({ run, checkpoint, files }: ExportSource, format: BuiltInFormat): string | null {
  if (isMetricsFormat(format)) return Object.keys(run.metrics).length > 0 ? null : 'the run has no metrics';
  if (!checkpoint) return 'the run has no checkpoint';
  const isModule = run.kind === 'module';
  if (format === 'tfjs' && !isModule)
    return 'only for TensorFlow.js models; name a command for it in the job’s `export`';
  if (format === 'onnx' && !isModule) return 'needs the code of the model: name a command for it in the job’s `export`';
  if (format !== 'original' && files.some((name) => NUMBERS_ELSEWHERE.test(name)))
    return 'its numbers are in files that are not read here; "original" gives them back byte for byte';
  if (format === 'state_dict' && (isModule || files.some((name) => NOT_TORCH.test(name))))
    return 'its weights have another layout than PyTorch’s';
  return null;
}

export function isMetricsFormat(format: string): format is 'tfevents' | 'csv' | 'json' {
  return format === 'tfevents' || format === 'csv' || format === 'json';
}

function nameOf(source: ExportSource, format: BuiltInFormat): string {
  if (isMetricsFormat(format)) return `${slug(source.run.job)}_${source.run.number}${ENDINGS[format]}`;
  const single = source.files.length === 1 ? /\.\w+$/.exec(source.files[0]!)?.[0] : undefined;
  return `${stemOf(source)}${ENDINGS[format]}${format === 'original' ? (single ?? '') : ''}`;
}

/** Builds a name: `digits_epoch_0050_val_loss_0.0123`. */
function stemOf({ run, checkpoint, endsEpoch }: ExportSource): string {
  const parts = [slug(run.job)];
  if (!checkpoint) return `${parts[0]}_${run.number}`;
  if (endsEpoch && checkpoint.epoch > 0) parts.push('epoch', String(checkpoint.epoch).padStart(4, '0'));
  else parts.push('step', String(checkpoint.step).padStart(6, '0'));
  const metric = [run.monitor?.metric, 'val_loss', 'loss'].find((name) => name && name in checkpoint.metrics);
  const value = metric === undefined ? Number.NaN : fromWireNumber(checkpoint.metrics[metric]!);
  if (metric !== undefined && Number.isFinite(value)) parts.push(slug(metric), String(Number(value.toPrecision(4))));
  return parts.join('_');
}

/** Makes a name that every file system accepts. */
function slug(text: string): string {
  return (
    text
      .replace(/\.py$/, '')
      .replaceAll(/[^\p{L}\p{N}.-]+/gu, '_')
      .replaceAll(/^[_.]+|_+$/g, '') || 'model'
  );
}
