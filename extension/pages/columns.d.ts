/** The table's columns, its order, and what its filter lets through. Pure. */
import type { RunRow } from './messages.ts';
export interface Column {
  /** `run`, `branch`, `status`, `step`, `age`, `param:lr`, `metric:loss`. */
  key: string;
  title: string;
  number: boolean;
  value(row: RunRow): string | number | boolean | null | undefined;
}
export declare const FIXED: readonly Column[];
/** Params that differ come first: those that are the same in all runs tell nothing. */
export declare function columnsOf(rows: readonly RunRow[]): Column[];
/** What is shown unless one chooses: metrics, and params that differ. */
export declare function shownByDefault(columns: readonly Column[], rows: readonly RunRow[]): string[];
/** Rows without a value come last, whichever way. */
export declare function sortedBy(rows: readonly RunRow[], column: Column, descending: boolean): RunRow[];
/** Words that a row must have somewhere, and comparisons: `lr>0.001 status=failed`. */
export declare function filterOf(text: string): (row: RunRow) => boolean;
