/** Tooltips of rows in the tree of runs. */
import * as vscode from 'vscode';
import { alarmText } from '../../pages/run-facts.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { engineText } from '../../protocol/engine-words.ts';
import type { RemoteSummary } from '../../protocol/messages/remote.ts';
import type { SweepSummary } from '../../protocol/sweep.ts';
import { counted, exactly, integer } from '../../protocol/words.ts';
import { sweepFacts } from '../core/sweep-row.ts';
import { ingredientFacts, oneLine } from '../core/text.ts';

export function tooltipOfSweep(sweep: SweepSummary | undefined): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  const [first, ...facts] = sweep ? sweepFacts(sweep) : [];
  if (first) text.appendText(oneLine(first));
  for (const fact of facts) text.appendMarkdown('\n\n').appendText(oneLine(fact));
  return text;
}

export function tooltipOfRemote({ url, isSealed, failing }: RemoteSummary): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendText(oneLine(`${url}${isSealed ? ' (encrypted)' : ''}`));
  if (failing) text.appendMarkdown('\n\n').appendText(oneLine(failing.message));
  return text;
}

/** Builds the tooltip. Names are data: appended as text, never as markup. */
export function tooltipOfRun(run: Run | undefined): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  if (!run) return text;
  text.appendText(oneLine(`${run.name}: ${run.status}${run.reason ? ` (${run.reason})` : ''}`));
  const facts = [
    alarmText(run) && `${alarmText(run)} now`,
    run.note,
    engineText(run),
    `branch ${run.branch ?? '–'}${run.commit ? ` at ${run.commit.slice(0, 10)}` : ''}${run.dirty ? ', with uncommitted changes' : ''}`,
    `step ${integer(run.step)}${run.totalSteps ? ` of ${integer(run.totalSteps)}` : ''}, epoch ${run.epoch}, ${counted(run.checkpoints, 'checkpoint')}`,
    Object.entries(run.params)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join('  '),
    run.kind === 'module' ? `on ${run.backend}${run.backendReason ? ` (${run.backendReason})` : ''}` : '',
    ...run.notices.slice(-3).map((notice) => notice.text),
  ];
  for (const fact of facts.filter(Boolean)) text.appendMarkdown('\n\n').appendText(oneLine(fact));
  return text;
}

export function tooltipOfCheckpoint(checkpoint: Checkpoint): vscode.MarkdownString {
  const { proof, reasons, metrics, stateDigest } = checkpoint;
  const facts = [
    `taken for: ${reasons.join(', ')}`,
    Object.entries(metrics)
      .map(([name, value]) => `${name} ${exactly(value)}`)
      .join('  '),
    ...ingredientFacts(checkpoint),
    proof ? `${proof.kind} of ${counted(proof.steps, 'step')}: ${proof.verdict} (${proof.fingerprint})` : '',
    `state ${stateDigest.slice(0, 16)}, id ${checkpoint.id}`,
  ];
  const text = new vscode.MarkdownString();
  text.appendText(`Step ${integer(checkpoint.step)}, epoch ${checkpoint.epoch}`);
  for (const fact of facts.filter(Boolean)) text.appendMarkdown('\n\n').appendText(oneLine(fact));
  return text;
}
