/** What pages and the extension say to each other. Whatever a page says is checked: it is the less trusted side. */
import * as v from 'valibot';
import type { Diff, WeightsDiff } from '../../protocol/diff.ts';
import type { FileInspection } from '../../protocol/domain.ts';
/** Values of NaN and infinity are as they are: messages to pages are cloned, not JSON. */
export interface Curve {
  /** Of the run in the page's list of sides or runs. */
  of: number;
  xs: number[];
  ys: number[];
}
export interface DiffPageState {
  root: string;
  sides: string[];
  /** Null: still asked for, or it could not be had. */
  diff: Diff | null;
  problem: string | null;
  /** One for each side but the first. */
  weights: (
    | {
        diff: WeightsDiff;
      }
    | {
        problem: string;
      }
    | {
        share: number;
      }
  )[];
  curves: {
    name: string;
    curves: Curve[];
  }[];
}
export declare const diffPageSaid: v.VariantSchema<
  'say',
  [
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'ready', undefined>;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'axis', undefined>;
        readonly axis: v.PicklistSchema<['step', 'epoch', 'time'], undefined>;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'openFile', undefined>;
        readonly side: v.NumberSchema<undefined>;
        readonly path: v.StringSchema<undefined>;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'openAll', undefined>;
        readonly side: v.NumberSchema<undefined>;
      },
      undefined
    >,
  ],
  undefined
>;
export type DiffPageSaid = v.InferOutput<typeof diffPageSaid>;
export interface FilePageState {
  name: string;
  inspection: FileInspection | null;
  problem: string | null;
}
export declare const filePageSaid: v.VariantSchema<
  'say',
  [
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'ready', undefined>;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'statistics', undefined>;
      },
      undefined
    >,
  ],
  undefined
>;
export type FilePageSaid = v.InferOutput<typeof filePageSaid>;
/** A run as the table shows it. */
export interface RunRow {
  id: string;
  number: number;
  name: string;
  label: string;
  branch: string | null;
  status: string;
  live: boolean;
  draft: boolean;
  createdAt: number;
  step: number;
  share: number | null;
  stepsPerEpoch: number | null;
  /** Nested ones with dots. */
  params: Record<string, string | number | boolean | null>;
  /** The last value, and the best where the run says what that is. */
  metrics: Record<
    string,
    {
      last: number;
      best: number;
      bestStep: number;
    }
  >;
  parent: string | null;
}
export interface CheckpointMark {
  id: string;
  run: string;
  step: number;
  tags: string[];
}
export interface DashboardState {
  root: string;
  project: string;
  rows: RunRow[];
  /** There are more runs than have come so far. */
  loading: boolean;
  problem: string | null;
}
/** What the extension pushes. `state` comes after `ready`; the others change parts of it. */
export type DashboardNews =
  | {
      type: 'state';
      state: DashboardState;
    }
  | {
      type: 'rows';
      rows: RunRow[];
      loading: boolean;
    }
  | {
      type: 'gone';
      ids: string[];
    }
  | {
      type: 'curve';
      run: string;
      name: string;
      from: number | null;
      to: number | null;
      xs: Float64Array;
      ys: Float64Array;
      times: Float64Array;
    }
  | {
      type: 'points';
      run: string;
      name: string;
      xs: Float64Array;
      ys: Float64Array;
      times: Float64Array;
    }
  | {
      type: 'checkpoints';
      run: string;
      marks: CheckpointMark[];
    }
  | {
      type: 'log';
      run: string;
      text: string;
      first: boolean;
    }
  | {
      type: 'device';
      text: string;
    };
export declare const dashboardSaid: v.VariantSchema<
  'say',
  [
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'ready', undefined>;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'curves', undefined>;
        readonly runs: v.SchemaWithPipe<
          readonly [
            v.ArraySchema<
              v.SchemaWithPipe<readonly [v.StringSchema<undefined>, v.MaxLengthAction<string, 100, undefined>]>,
              undefined
            >,
            v.MaxLengthAction<string[], 50, undefined>,
          ]
        >;
        readonly names: v.SchemaWithPipe<
          readonly [v.ArraySchema<v.StringSchema<undefined>, undefined>, v.MaxLengthAction<string[], 50, undefined>]
        >;
        readonly from: v.NullableSchema<v.NumberSchema<undefined>, undefined>;
        readonly to: v.NullableSchema<v.NumberSchema<undefined>, undefined>;
        readonly buckets: v.SchemaWithPipe<
          readonly [
            v.NumberSchema<undefined>,
            v.MinValueAction<number, 10, undefined>,
            v.MaxValueAction<number, 4000, undefined>,
          ]
        >;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'checkpoints', undefined>;
        readonly run: v.SchemaWithPipe<readonly [v.StringSchema<undefined>, v.MaxLengthAction<string, 100, undefined>]>;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'log', undefined>;
        readonly run: v.NullableSchema<
          v.SchemaWithPipe<readonly [v.StringSchema<undefined>, v.MaxLengthAction<string, 100, undefined>]>,
          undefined
        >;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'act', undefined>;
        readonly action: v.PicklistSchema<['resume', 'pause', 'stop', 'diff', 'export', 'reveal'], undefined>;
        readonly runs: v.SchemaWithPipe<
          readonly [
            v.ArraySchema<
              v.SchemaWithPipe<readonly [v.StringSchema<undefined>, v.MaxLengthAction<string, 100, undefined>]>,
              undefined
            >,
            v.MaxLengthAction<string[], 8, undefined>,
          ]
        >;
      },
      undefined
    >,
    v.ObjectSchema<
      {
        readonly say: v.LiteralSchema<'checkpoint', undefined>;
        readonly run: v.SchemaWithPipe<readonly [v.StringSchema<undefined>, v.MaxLengthAction<string, 100, undefined>]>;
        readonly checkpoint: v.SchemaWithPipe<
          readonly [v.StringSchema<undefined>, v.MaxLengthAction<string, 100, undefined>]
        >;
      },
      undefined
    >,
  ],
  undefined
>;
export type DashboardSaid = v.InferOutput<typeof dashboardSaid>;
