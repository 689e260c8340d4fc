/** What is different between runs, checkpoints and branches. Lists hold one entry a side, in the order that was asked for. */
import type { Grade, ParamValue } from './domain.ts';
import type { WireNumber } from './numbers.ts';

export interface DiffSide {
  /** `digits #3@1200`. */
  label: string;
  run: string;
  branch: string | null;
  commit: string | null;
  /** Its code snapshot, for `code/read`. */
  code: string | null;
  checkpoint: string | null;
  step: number;
  grade: Grade | null;
  /** Equal digests are bit-identical states; null: there is no checkpoint. */
  stateDigest: string | null;
}

export interface ParamDiff {
  /** Nested ones with dots: `optimizer.lr`. */
  name: string;
  /** Null: that side has no such param. `isDefault`: nobody gave it by hand. */
  values: ({ value: ParamValue; isDefault: boolean } | null)[];
}

/** What curves are aligned by. An epoch is a part of a pass: `2.5`. Times are seconds since a run's first start. */
export type CurveAxis = 'step' | 'epoch' | 'time';

/** Places (`partsAt`, `lastAt`) are of the axis that was asked for. */
export interface MetricDiff {
  name: string;
  sides: MetricSide[];
  /** The first place that all have and at which two differ in any bit; null: none does. */
  partsAt: number | null;
  /** Places that all sides have. */
  common: number;
}

/** Tells whether curves are different: where all are, or in how far they reach. */
export function differs({ partsAt, common, sides }: MetricDiff): boolean {
  return partsAt !== null || sides.some(({ points }) => points !== common);
}

export interface MetricSide {
  /** Places that it has a value at. */
  points: number;
  lastAt: number | null;
  last: WireNumber | null;
  min: WireNumber | null;
  max: WireNumber | null;
  /** The area under the curve over the places that all sides cover; null: they do not meet, or it is no number. */
  area: WireNumber | null;
  /** Its mean height there: the area divided by their distance. */
  mean: WireNumber | null;
}

export interface CodeDiff {
  /** Whether each side's code was kept. */
  kept: boolean[];
  /** Between the first side and each other one. */
  files: CodeFileDiff[];
  /** Files beyond these. */
  more: number;
}

export interface CodeFileDiff {
  path: string;
  side: number;
  status: 'added' | 'removed' | 'changed';
  /** Lines. */
  added: number;
  removed: number;
  /** As `diff -u` writes them, from the first `@@` on. Null: the file is no text, or there is too much. */
  hunks: string | null;
}

export interface LineageDiff {
  /** The newest checkpoint that all come from; null: they have nothing in common. */
  ancestor: { checkpoint: string; run: string; step: number } | null;
  /** Steps that each went since. */
  steps: number[];
}

/** Only what differs. Null: that side does not say. */
export interface FactDiff {
  name: string;
  values: (string | null)[];
}

export interface Diff {
  sides: DiffSide[];
  params: ParamDiff[];
  axis: CurveAxis;
  metrics: MetricDiff[];
  /** Metrics beyond these. */
  moreMetrics: number;
  code: CodeDiff;
  environment: FactDiff[];
  /** `fingerprint`, `samples`, and the `seed` of their order. */
  data: FactDiff[];
  lineage: LineageDiff;
  /** Whether the states are the same to the last bit; null: a side has none. */
  sameState: boolean | null;
}

/** How the tensors of two checkpoints differ. */
export interface WeightsDiff {
  /** Labels of the two, as in `DiffSide`. */
  sides: [string, string];
  /** Whether all tensors are the same to the last bit. */
  equal: boolean;
  /** How many tensors, by what became of them; tied ones count once. `equalUnread`: of `equal`, known by hashes alone. */
  counts: { equal: number; equalUnread: number; changed: number; reshaped: number; unreadable: number };
  /** Names that one side alone has: at most 200 each, and how many in all. */
  only: { names: string[]; count: number }[];
  /** Over all tensors that could be compared, by what they are. */
  totals: { part: TensorPart; elements: number; changed: number; norm: number; relative: number | null }[];
  /** Weights, then the optimizer's; the most changed first: as many as fit a message, at most 1,000. */
  tensors: TensorDiff[];
  /** What was done to bring names together, what could not be read, and why. */
  notes: string[];
  /** Bytes that were read to know this. */
  readBytes: number;
}

/** What a tensor is for, by its name. */
export type TensorPart = 'weights' | 'optimizer' | 'other';

export interface TensorDiff {
  name: string;
  /** In the second checkpoint, where it has another one. */
  otherName: string | null;
  part: TensorPart;
  dtypes: [string, string];
  shapes: [number[], number[]];
  /** Null: shapes differ, or elements are no numbers. */
  numbers: TensorNumbers | null;
}

/** Norms are of the elements that are finite on both sides, summed in float64. */
export interface TensorNumbers {
  elements: number;
  changed: number;
  /** L2 norms: of the first side, of the second, of their difference. */
  norms: [number, number, number];
  /** Norm of the difference over that of the first side; null: that is 0. */
  relative: number | null;
  /** Null: one of them is 0. */
  cosine: number | null;
  /** Null: nothing finite is different. */
  largest: { at: number[]; change: number } | null;
  nan: [number, number];
  infinite: [number, number];
  /** How many differences have a size of [2^e, 2^(e+1)); those of 0 are left out. Ascending. */
  histogram: { e: number; count: number }[];
}
