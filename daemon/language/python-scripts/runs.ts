/** Lenses above the call that starts a script, and hints with the newest values beside what it reports, of its runs. Pure. */
import type { CodeLens, InlayHint } from 'vscode-languageserver-protocol';
import { isNotebook } from '../../../protocol/notebook.ts';
import { ENDED_EARLY_STATUSES } from '../../../protocol/status.ts';
import { bestText, integer, metric } from '../../../protocol/words.ts';
import type { ScriptRuns } from '../facts.ts';
import type { Anchors } from './anchors.ts';

/** Makes the lenses, above the first line where no call starts the script. Their commands are those of the VS Code extension. */
export function lensesOf({ start }: Pick<Anchors, 'start'>, { root, runs, job }: ScriptRuns): CodeLens[] {
  const range = { start: { line: start ?? 0, character: 0 }, end: { line: start ?? 0, character: 0 } };
  const lens = (title: string, command: string, argument?: object): CodeLens => ({
    range,
    command: { title, command: `trainstash.${command}`, arguments: argument ? [argument] : [] },
  });
  const newest = runs.find(({ draft }) => !draft) ?? runs[0];
  if (!newest) return [];
  const node = { kind: 'run', root, id: newest.id };
  const isResumable = ENDED_EARLY_STATUSES.includes(newest.status) && newest.lastCheckpoint;
  const best = bestText(newest);
  // Its kernel goes on with it.
  if (newest.command && isNotebook(newest.command.words))
    return [lens(`$(graph-line) ${shown(newest.name)} ${newest.status}${best ? `, ${best}` : ''}`, 'openRun', node)];
  return [
    job ? lens(`$(play) Run ${shown(job.name)}`, 'run', { root, job }) : lens('$(play) Run', 'runFile'),
    ...(isResumable ? [lens(`$(debug-continue) Resume at ${integer(isResumable.step)}`, 'resume', node)] : []),
    lens(`$(graph-line) ${shown(newest.name)} ${newest.status}${best ? `, ${best}` : ''}`, 'openRun', node),
  ];
}

/** Makes hints with the newest run's last values. */
export function hintsOf({ logged }: Anchors, { runs }: ScriptRuns): InlayHint[] {
  const newest = runs.find(({ draft, metrics }) => !draft && Object.keys(metrics).length > 0);
  return logged.flatMap(({ metric: name, end }) => {
    const last = newest?.metrics[name]?.last;
    if (last === undefined) return [];
    return [
      {
        position: end,
        label: ` ${metric(last)}`,
        tooltip: `Last value of "${name}" in ${newest!.name}, at step ${integer(newest!.metrics[name]!.lastStep)}`,
      },
    ];
  });
}

/** Keeps a name from being read as an icon. */
function shown(name: string): string {
  return name.replaceAll('$(', '$\u200b(');
}
