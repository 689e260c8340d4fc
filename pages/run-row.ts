/** Converts a run to a row of the dashboard's table. Pure, and does not use `vscode`. */
import type { Params, Run } from '../protocol/domain.ts';
import { flattenParams, isNested } from '../protocol/params.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import { rehearsalText } from '../protocol/words.ts';
import type { RunRow } from '../webview-ui/contract.ts';
import { alarmText, canGoOn } from './run-facts.ts';

export function rowOf(run: Run): RunRow {
  const { id, number, name, label, branch, status, draft, createdAt, step, totalSteps, stepsPerEpoch, monitor } = run;
  const metrics = Object.entries(run.metrics).map(([metric, summary]) => {
    const better = monitor?.metric === metric ? monitor.mode : betterOf(metric);
    const { last, min, minStep, max, maxStep } = summary;
    const [value, step] = better === 'min' ? [min, minStep] : [max, maxStep];
    const word = monitor?.metric === metric ? 'best' : better === 'min' ? 'lowest' : 'highest';
    const best = better && value !== null && step !== null ? ({ value, step, word } as const) : null;
    return [metric, { last, best }] as const;
  });
  return {
    id,
    number,
    name,
    label,
    branch,
    status,
    live: LIVE_STATUSES.includes(status),
    resumable: canGoOn(run),
    draft,
    createdAt,
    step,
    share: totalSteps ? Math.min(1, step / totalSteps) : null,
    stepsPerEpoch,
    params: Object.fromEntries(flatten(run.params)),
    metrics: Object.fromEntries(metrics),
    alarm: alarmText(run),
    rehearsal: rehearsalText(run),
    rollbacks: (run.rollbacks ?? []).map(({ step, toStep }) => ({ step, toStep: toStep ?? 0 })),
    parent: run.parent?.run ?? null,
    job: run.job,
    sweep: run.sweep ? `sweep ${run.sweep.number} of ${run.job}` : null,
    tags: tagsOf(run.note),
  };
}

/** Finds the tags in a note: `#baseline #long warm-up` has two. */
export function tagsOf(note: string): string[] {
  const found = [...note.matchAll(/(?:^|\s)#([\p{L}\p{N}][\p{L}\p{N}._-]*)/gu)].map((one) => one[1]!.toLowerCase());
  return [...new Set(found)].sort();
}

const SMALL =
  /(^|[^a-z])(loss|error|err|perplexity|ppl|nll|mse|mae|rmse|mape|wer|cer|fid|bce|kl|elbo_loss|divergence)($|[^a-z])/i;
const LARGE =
  /(^|[^a-z])(acc|accuracy|top\d?|f1|auc|auroc|precision|recall|map|iou|dice|bleu|rouge|meteor|r2|psnr|ssim|reward|return|score)($|[^a-z])/i;

/** Derives from its name which values of a metric are better; null for a neutral one such as a learning rate. */
export function betterOf(metric: string): 'min' | 'max' | null {
  const words = metric.replaceAll(/([a-z])([A-Z][a-z])/g, '$1_$2');
  if (SMALL.test(words)) return 'min';
  return LARGE.test(words) ? 'max' : null;
}

/** Flattens nested params; lists become text. */
function flatten(params: Params): [string, string | number | boolean | null][] {
  return flattenParams(params).flatMap(([name, value]): [string, string | number | boolean | null][] => {
    if (isNested(value)) return [];
    return [[name, Array.isArray(value) ? JSON.stringify(value) : value]];
  });
}
