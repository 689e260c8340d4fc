/** "Compare": compares the selected rows, or one row with others that are asked for. */
import * as vscode from 'vscode';
import type { Monitor, Run } from '../../protocol/domain.ts';
import type { App } from '../core/app.ts';
import { command } from '../core/app.ts';
import { plain } from '../core/text.ts';
import { showDiff } from '../panels/diff.ts';
import type { Node } from '../views/runs.ts';
import { pickRuns, runTarget } from './targets.ts';

const MAX_SIDES = 8;

export function registerComparing(app: App, context: vscode.ExtensionContext): void {
  command(app, context, 'compareBest', (node?: Node) => compareBest(app, context, node));
  command(app, context, 'compare', async (node?: Node, selected?: Node[]) => {
    const rows = (selected && selected.length > 1 ? selected : node ? [node] : []).flatMap(sideOf).slice(0, MAX_SIDES);
    const roots = new Set(rows.map(({ root }) => root));
    if (roots.size > 1) {
      void vscode.window.showInformationMessage('Only runs of the same project can be compared.');
      return;
    }
    const first = rows[0] ?? (await firstSide(app));
    if (!first) return;
    const others = rows.length > 1 ? rows.slice(1) : await otherSide(app, first);
    if (others.length > 0)
      showDiff(
        app,
        context,
        first.root,
        [first, ...others].map(({ id }) => id),
      );
  });
}

/** Compares a run with the best of those that are judged by the same metric. */
async function compareBest(app: App, context: vscode.ExtensionContext, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'compare with the best', ({ monitor }) => monitor !== null);
  if (!target) return;
  const { root, run } = target;
  let best: Run | undefined;
  for await (const runs of app.model.everyRun(root))
    for (const other of runs) if (other.id !== run.id && isBetter(other, best, run.monitor)) best = other;
  if (!run.monitor || !best) {
    const text = run.monitor
      ? `No other run is judged by ${plain(run.monitor.metric)}.`
      : `${plain(run.name)} is judged by no metric. Set "keep": { "best": … } in its job.`;
    void vscode.window.showInformationMessage(text);
    return;
  }
  showDiff(app, context, root, [run.id, best.id]);
}

/** Tells whether a run reached a better value than the best so far. */
function isBetter({ metrics, monitor }: Run, best: Run | undefined, by: Run['monitor']): boolean {
  const value = by && monitor?.metric === by.metric ? bestValueOf(metrics, by) : null;
  const record = best && by ? bestValueOf(best.metrics, by) : null;
  if (value === null) return false;
  return record === null || (by!.mode === 'min' ? value < record : value > record);
}

function bestValueOf(metrics: Run['metrics'], { metric, mode }: Monitor): number | null {
  const summary = metrics[metric];
  return (mode === 'min' ? summary?.min : summary?.max) ?? null;
}

interface Side {
  root: string;
  /** Id of a run or a checkpoint. */
  id: string;
}

function sideOf(node: Node): Side[] {
  if (node.kind === 'run') return [{ root: node.root, id: node.id }];
  return node.kind === 'checkpoint' ? [{ root: node.root, id: node.checkpoint.id }] : [];
}

async function firstSide(app: App): Promise<Side | undefined> {
  const target = await runTarget(app, undefined, 'compare');
  return target && { root: target.root, id: target.run.id };
}

async function otherSide(app: App, first: Side): Promise<Side[]> {
  const chosen = await pickRuns(app, {
    title: 'Compare',
    placeHolder: 'Choose the runs to compare with',
    fits: ({ id }) => id !== first.id,
    root: first.root,
    many: true,
  });
  return (chosen ?? []).slice(0, MAX_SIDES - 1).map(({ root, run }) => ({ root, id: run.id }));
}
