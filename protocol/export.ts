/** A checkpoint or a run's metrics in a form that others read. */
import type { Params } from './domain.ts';

/** Beside these, the names of a job's own `export` commands. */
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
  /** What it is, for people. */
  description: string;
  /** Null: it can be had; else why not. */
  unavailable: string | null;
  /** As the file would be called: `digits_epoch_0050_val_loss_0.0123.safetensors`; of a folder without an extension. */
  name: string;
}

export interface ExportFile {
  /** Within the output where that is a folder; empty: the output itself. */
  name: string;
  bytes: number;
  sha256: string;
}

/** The same inputs through what was exported and through what it was made of. */
export interface Parity {
  /** Null: both could not be run here; `why` says why. */
  largestDifference: number | null;
  samples: number;
  /** What ran the export. */
  runtime: string;
  why: string;
}

/** Also what the manifest beside the output holds. */
export interface ExportResult {
  format: string;
  path: string;
  manifest: string;
  files: ExportFile[];
  parity: Parity | null;
  notes: string[];
}

/** `<output>.trainstash.json`. */
export interface ExportManifest extends Omit<ExportResult, 'path' | 'manifest'> {
  trainstash: 1;
  exportedAt: string;
  run: { id: string; number: number; name: string; job: string };
  branch: string | null;
  commit: string | null;
  /** There were uncommitted changes. */
  dirty: boolean;
  /** Null: the metrics of the whole run. */
  checkpoint: { id: string; step: number; epoch: number; grade: string; stateDigest: string } | null;
  params: Params;
  metrics: Record<string, unknown>;
}
