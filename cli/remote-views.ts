/** Prints what a pull has brought, and the runs of remotes. */
import type { PullReport, RemoteRun } from '../protocol/messages/remote.ts';
import { age, bytes, counted, integer } from '../protocol/words.ts';
import { paint, safe, table, wrapped } from './format.ts';

export function pulledLines(
  { checkpoints, present, bytes: size, runs, problems }: PullReport,
  width: number,
): string[] {
  const names = runs
    .slice(0, 5)
    .map(({ name, number }) => `${name}${name.endsWith(`#${number}`) ? '' : ` (#${number})`}`);
  const of =
    names.length > 0
      ? ` of ${safe(names.join(', '))}${runs.length > names.length ? ` and ${runs.length - names.length} more` : ''}`
      : '';
  return [
    ...problems.flatMap((problem) => wrapped(`${paint('red', '!')} ${safe(problem)}`, width)),
    checkpoints > 0
      ? `${paint('green', '✔')} ${counted(checkpoints, 'checkpoint')}${of} came in (${bytes(size)}), each byte verified.${present > 0 ? ` ${counted(present, 'other was', 'others were')} here.` : ''}`
      : present > 0
        ? `Nothing new: ${counted(present, 'checkpoint is', 'checkpoints are')} here already.`
        : 'No checkpoints are there.',
  ];
}

export function remoteRunTable(runs: readonly RemoteRun[], width: number): string[] {
  return table(
    runs,
    [
      { title: 'RUN', cell: ({ remote: name, run }) => safe(`${name}/${run.number}`) },
      { title: 'NAME', cell: ({ run }) => safe(run.name), flexible: true },
      { title: 'STATUS', cell: ({ run }) => run.status },
      { title: 'STEP', cell: ({ run }) => integer(run.step), right: true },
      {
        title: 'CHECKPOINTS',
        cell: ({ checkpoints, missing }) => `${checkpoints}${missing > 0 ? ` (${missing} not here)` : ''}`,
      },
      { title: 'FROM', cell: ({ machine }) => safe(machine) },
      { title: 'SENT', cell: ({ sentAt }) => age(sentAt) },
      { title: 'HERE', cell: ({ number }) => (number === null ? '' : `#${number}`) },
    ],
    width,
  );
}
