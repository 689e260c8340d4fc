/** What is different between runs, checkpoints and branches. Lists hold one entry a side, in the order that was asked for. */
import type { Grade, ParamValue, WireNumber } from './domain.ts';

export interface DiffSide {
  /** `digits #3@1200`. */
  label: string;
  run: string;
  branch: string | null;
  commit: string | null;
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

export interface MetricDiff {
  name: string;
  sides: MetricSide[];
  /** The first step that all have and at which two differ in any bit; null: none does. */
  partsAt: number | null;
  /** Steps that all sides have. */
  common: number;
}

export interface MetricSide {
  points: number;
  lastStep: number | null;
  last: WireNumber | null;
  min: WireNumber | null;
  max: WireNumber | null;
  /** Mean height of the curve over the steps that all sides cover: its area divided by their number. */
  mean: WireNumber | null;
}

export interface CodeDiff {
  /** Whether each side's code was kept. */
  kept: boolean[];
  /** Between the first side and each other one. */
  files: { path: string; side: number; status: 'added' | 'removed' | 'changed' }[];
}

export interface LineageDiff {
  /** The newest checkpoint that all come from; null: they have nothing in common. */
  ancestor: { checkpoint: string; run: string; step: number } | null;
  /** Steps that each went since. */
  steps: number[];
}

export interface Diff {
  sides: DiffSide[];
  params: ParamDiff[];
  metrics: MetricDiff[];
  code: CodeDiff;
  /** Only what differs. Null: that side does not say. */
  environment: { name: string; values: (string | null)[] }[];
  data: (string | null)[] | null;
  lineage: LineageDiff;
  /** Whether the states are the same to the last bit; null: a side has none. */
  sameState: boolean | null;
}
