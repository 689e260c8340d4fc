/** Differences between runs, checkpoints and branches. Lists hold one entry per side, in the order of the request. */
import type { Grade, ParamValue } from './domain.ts';
import type { WireNumber } from './numbers.ts';

export interface DiffSide {
  /** Display name: `digits #3@1200`. */
  label: string;
  run: string;
  branch: string | null;
  commit: string | null;
  /** Code snapshot, for `code/read`. */
  code: string | null;
  checkpoint: string | null;
  step: number;
  grade: Grade | null;
  /** Digest of the training state; equal digests mean bit-identical states. Null: there is no checkpoint. */
  stateDigest: string | null;
}

export interface ParamDiff {
  /** Name with dots for nested params: `optimizer.lr`. */
  name: string;
  /** Values per side; null: that side has no such param. `isDefault`: nobody set it explicitly. */
  values: ({ value: ParamValue; isDefault: boolean } | null)[];
}

/** Axis by which curves are aligned. Epochs may be fractional: `2.5`. Times are seconds since a run's first start. */
export type CurveAxis = 'step' | 'epoch' | 'time';

/** Comparison of one metric. Positions (`partsAt`, `lastAt`) are on the requested axis. */
export interface MetricDiff {
  name: string;
  sides: MetricSide[];
  /** First position that all sides have and at which two of them differ in any bit; null: there is none. */
  partsAt: number | null;
  /** Number of positions that all sides have. */
  common: number;
}

/** Tells whether curves differ: at a common position, or in the positions they have. */
export function differs({ partsAt, common, sides }: MetricDiff): boolean {
  return partsAt !== null || sides.some(({ points }) => points !== common);
}

export interface MetricSide {
  /** Number of positions with a value. */
  points: number;
  lastAt: number | null;
  last: WireNumber | null;
  min: WireNumber | null;
  max: WireNumber | null;
  /** Area under the curve over the range that all sides cover; null: the ranges do not overlap, or it is not a number. */
  area: WireNumber | null;
  /** Mean height over that range: the area divided by the length of the range. */
  mean: WireNumber | null;
}

export interface CodeDiff {
  /** Per side, true if its code was kept. */
  kept: boolean[];
  /** Files that differ between the first side and each of the others. */
  files: CodeFileDiff[];
  /** Number of differing files that are not listed. */
  more: number;
}

export interface CodeFileDiff {
  path: string;
  side: number;
  status: 'added' | 'removed' | 'changed';
  /** Lines added. */
  added: number;
  removed: number;
  /** Hunks in `diff -u` format, from the first `@@` on. Null: the file is not text, or the diff is too large. */
  hunks: string | null;
}

/** Changes in the tree since a run's code was taken. */
export interface CodeSince {
  /** Code snapshot of the run; null: not kept. */
  then: string | null;
  /** Snapshot of the tree now; null: it cannot be taken. */
  now: string | null;
  /** Files that differ; `side` is 1 for all. */
  files: CodeFileDiff[];
  more: number;
}

export interface LineageDiff {
  /** Newest checkpoint that all sides descend from; null: there is none. */
  ancestor: { checkpoint: string; run: string; step: number } | null;
  /** Steps that each side went since the ancestor. */
  steps: number[];
}

/** A fact that differs. Null: that side does not record it. */
export interface FactDiff {
  name: string;
  values: (string | null)[];
}

export interface Diff {
  sides: DiffSide[];
  params: ParamDiff[];
  axis: CurveAxis;
  metrics: MetricDiff[];
  /** Number of metrics that are not listed. */
  moreMetrics: number;
  code: CodeDiff;
  environment: FactDiff[];
  /** Differences of `fingerprint`, `samples`, and the `seed` of the data order. */
  data: FactDiff[];
  lineage: LineageDiff;
  /** True if the states are equal to the last bit; null: a side has no state. */
  sameState: boolean | null;
}

/** Differences between the tensors of two checkpoints. */
export interface WeightsDiff {
  /** Labels of the two sides, as in `DiffSide`. */
  sides: [string, string];
  /** True if all tensors are equal to the last bit. */
  equal: boolean;
  /** Numbers of tensors by outcome; tied tensors count once. `equalUnread`: the part of `equal` that is known by hash alone. */
  counts: { equal: number; equalUnread: number; changed: number; reshaped: number; unreadable: number };
  /** Names that only one side has: at most 200 per side, with the total count. */
  only: { names: string[]; count: number }[];
  /** Totals over all comparable tensors, by part. */
  totals: { part: TensorPart; elements: number; changed: number; norm: number; relative: number | null }[];
  /** Weights first, then optimizer tensors, the most changed first: as many as fit into a message, at most 1,000. */
  tensors: TensorDiff[];
  /** Notes on names that were mapped and tensors that could not be read, with the reasons. */
  notes: string[];
  /** Bytes read for this comparison. */
  readBytes: number;
}

/** Purpose of a tensor, derived from its name. */
export type TensorPart = 'weights' | 'optimizer' | 'other';

export interface TensorDiff {
  name: string;
  /** Name in the second checkpoint, where it differs. */
  otherName: string | null;
  part: TensorPart;
  dtypes: [string, string];
  shapes: [number[], number[]];
  /** Null: the shapes differ, or the elements are not numbers. */
  numbers: TensorNumbers | null;
}

/** Statistics of a difference. Norms cover the elements that are finite on both sides, summed in float64. */
export interface TensorNumbers {
  elements: number;
  changed: number;
  /** L2 norms of the first side, the second side, and their difference. */
  norms: [number, number, number];
  /** Norm of the difference divided by the norm of the first side; null: that norm is 0. */
  relative: number | null;
  /** Cosine similarity; null: one of the norms is 0. */
  cosine: number | null;
  /** Largest change and its index; null: no finite element differs. */
  largest: { at: number[]; change: number } | null;
  nan: [number, number];
  infinite: [number, number];
  /** Counts of differences with a magnitude in [2^e, 2^(e+1)), in ascending order; zeros are left out. */
  histogram: { e: number; count: number }[];
}
