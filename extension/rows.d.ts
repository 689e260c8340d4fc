/** A run as the table of the dashboard shows it. Pure, and free of `vscode`. */
import { type Run } from '../protocol/domain.ts';
import type { RunRow } from './pages/messages.ts';
export declare function rowOf(run: Run): RunRow;
