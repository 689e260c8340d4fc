/** Lists the contents of the trash for people. */
import { TRASH_DAYS, type Trash } from '../protocol/messages/store.ts';
import { age, bytes, counted, integer } from '../protocol/words.ts';
import { type Column, safe, table, wrapped } from './format.ts';

const NOTE = `\`trainstash rm ID --undo\` restores one. Items in the trash are deleted after ${TRASH_DAYS} days, or earlier if the store reaches its quota.`;

interface Row {
  id: string;
  what: string;
  branch: string | null;
  bytes: number;
  trashedAt: number;
}

/** Lists runs and checkpoints with the ids that `rm ID --undo` takes. `branch` undefined: those of all branches. */
export function trashLines(trash: Trash, width: number, branch?: string): string[] {
  const rows: Row[] = [
    ...trash.runs.map((run) => ({
      ...run,
      id: String(run.number),
      what: `${run.name} ${withCheckpoints(run.checkpoints)}`,
    })),
    ...trash.checkpoints.map((one) => ({ ...one, what: `step ${integer(one.step)} of ${one.run}` })),
  ].filter((row) => branch === undefined || row.branch === branch);
  const columns: Column<Row>[] = [
    { title: 'ID', cell: ({ id }) => safe(id) },
    { title: 'WHAT', cell: ({ what }) => safe(what), flexible: true },
    { title: 'BRANCH', cell: (row) => safe(row.branch ?? '') },
    { title: 'SIZE', cell: (row) => bytes(row.bytes), right: true },
    { title: 'REMOVED', cell: ({ trashedAt }) => age(trashedAt) },
  ];
  if (rows.length === 0) return ['The trash is empty.'];
  const all = trash.counts.runs + trash.counts.checkpoints - sum(trash.runs.map(({ checkpoints }) => checkpoints));
  const more = branch === undefined ? all - rows.length : 0;
  return [
    ...table(rows, columns, width),
    ...(more > 0 ? [`… ${integer(more)} more; --json lists more of them`] : []),
    '',
    ...wrapped(NOTE, width),
  ];
}

function withCheckpoints(count: number): string {
  return count === 0 ? 'without checkpoints' : `with ${counted(count, 'checkpoint')}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
