/** Exports of a checkpoint or of a run's metrics to formats that other tools read. */
import type { Params } from './domain.ts';

/** Built-in formats. A job's own `export` commands add theirs. */
export const EXPORT_FORMATS = [
  'safetensors',
  'state_dict',
  'npz',
  'pdparams',
  'tfjs',
  'onnx',
  'original',
  'tfevents',
  'csv',
  'json',
] as const;
export type BuiltInFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportFormat {
  format: string;
  /** Description for people. */
  description: string;
  /** Reason why the format is unavailable; null: it is available. */
  unavailable: string | null;
  /** Default file name: `digits_epoch_0050_val_loss_0.0123.safetensors`; without an extension for a folder. */
  name: string;
}

export interface ExportFile {
  /** Path within the output folder; empty: the output is this file. */
  name: string;
  bytes: number;
  sha256: string;
}

/** Comparison of the exported model with the original on the same inputs. */
export interface Parity {
  /** Null: the two could not both be run here, for the reason in `why`. */
  largestDifference: number | null;
  samples: number;
  /** Runtime that ran the export. */
  runtime: string;
  why: string;
}

/** Result of an export; most of it is also in the manifest beside the output. */
export interface ExportResult {
  format: string;
  path: string;
  manifest: string;
  files: ExportFile[];
  parity: Parity | null;
  notes: string[];
}

/** Contents of `<output>.trainstash.json`. */
export interface ExportManifest extends Omit<ExportResult, 'path' | 'manifest'> {
  trainstash: 1;
  exportedAt: string;
  run: { id: string; number: number; name: string; job: string };
  branch: string | null;
  commit: string | null;
  /** True if there were uncommitted changes. */
  dirty: boolean;
  /** Null: the export holds the metrics of the whole run. */
  checkpoint: { id: string; step: number; epoch: number; grade: string; stateDigest: string } | null;
  params: Params;
  metrics: Record<string, unknown>;
}
