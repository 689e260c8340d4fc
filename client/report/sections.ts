/** Sections of a report, each from what the daemon answered. Pure. */
import type { Diff } from '../../protocol/diff.ts';
import type { Checkpoint, ParamValue, Run } from '../../protocol/domain.ts';
import { missingOf } from '../../protocol/ingredients.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import { type UsageSeries, usageWords } from '../../protocol/usage.ts';
import { bestText, bytes, counted, duration, integer, metric, resumeWords } from '../../protocol/words.ts';
import { chart, colorOf, type ReportLine } from './chart.ts';
import { type Html, html } from './html.ts';

const FEW_CHECKPOINTS = 20;

export interface ReportedRun {
  run: Run;
  checkpoints: Checkpoint[];
  usage: UsageSeries[];
  environment: Record<string, string>;
}

export function overview(all: readonly ReportedRun[]): Html {
  const rows = all.map(
    ({ run, usage }, i) => html`<tr>
<th>${swatch(i)}${run.name}${run.note && html`<br><span class="quiet">${run.note}</span>`}</th>
<td>${run.status}${run.reason && html`<br><span class="quiet">${run.reason}</span>`}</td>
<td>${bestText(run)}</td>
<td class="number">${integer(run.step)}${run.totalSteps ? ` of ${integer(run.totalSteps)}` : ''}</td>
<td>${tookOf(run)}</td>
<td>${branchOf(run)}</td>
<td class="quiet">${usageWords(usage).join('; ') || '–'}</td>
</tr>`,
  );
  const heads = ['Run', 'Status', 'Result', 'Step', 'Took', 'Code', 'Used'].map((head) => html`<th>${head}</th>`);
  return html`<table><thead><tr>${heads}</tr></thead><tbody>${rows}</tbody></table>`;
}

export interface ReportedCurves {
  name: string;
  lines: ReportLine[];
}

export function curves(all: readonly ReportedCurves[], left: number): Html | null {
  const figures = all.flatMap(({ name, lines }) => {
    const drawn = chart(lines);
    const legend =
      lines.length > 1
        ? html`<p class="legend">${lines.map(({ label, color }) => html`<span><i style="background:${color}"></i>${label}</span>`)}</p>`
        : null;
    return drawn ? [html`<figure><figcaption>${name}</figcaption>${drawn}${legend}</figure>`] : [];
  });
  if (figures.length === 0) return null;
  const more =
    left > 0 ? html`<p class="quiet">${counted(left, 'more metric is', 'more metrics are')} not drawn.</p>` : null;
  return html`<section><h2>Curves</h2><div class="charts">${figures}</div>${more}</section>`;
}

export function params(all: readonly ReportedRun[]): Html | null {
  const names = [...new Set(all.flatMap(({ run }) => Object.keys(run.params)))];
  if (names.length === 0) return null;
  const differing = (name: string) => new Set(all.map(({ run }) => JSON.stringify(run.params[name]))).size > 1;
  const sorted = [...names].sort((a, b) => Number(differing(b)) - Number(differing(a)));
  const rows = sorted.map((name) => {
    const cells = all.map(({ run }) => html`<td>${paramText(run.params[name])}</td>`);
    return html`<tr${differing(name) && html` class="differs"`}><th>${name}</th>${cells}</tr>`;
  });
  return html`<section><h2>Params</h2><table>${headsOf(all)}<tbody>${rows}</tbody></table></section>`;
}

export function checkpoints(all: readonly ReportedRun[]): Html | null {
  const tables = all.flatMap(({ run, checkpoints: own }, i) => {
    if (own.length === 0) return [];
    const judged = run.monitor?.metric ?? 'loss';
    const rows = own.slice(0, FEW_CHECKPOINTS).map(
      (one) => html`<tr>
<td class="number">${integer(one.step)}</td><td class="number">${integer(one.epoch)}</td>
<td class="number">${one.metrics[judged] === undefined ? '–' : metric(one.metrics[judged])}</td>
<td>${gradeOf(one)}</td><td class="number">${bytes(one.bytes)}</td><td>${one.tags.map((tag) => `#${tag}`).join(' ')}</td>
<td class="quiet">${one.stateDigest.slice(0, 16)}</td></tr>`,
    );
    const heads = ['Step', 'Epoch', judged, 'Grade', 'Size', 'Tags', 'State'].map((head) => html`<th>${head}</th>`);
    const more = own.length - rows.length;
    return [
      html`<h3>${swatch(i)}${run.name}</h3><p class="quiet">${resumeWords(run) && `A resume ${resumeWords(run)}.`}</p>
<table><thead><tr>${heads}</tr></thead><tbody>${rows}</tbody></table>${more > 0 && html`<p class="quiet">${integer(more)} more.</p>`}`,
    ];
  });
  return tables.length === 0 ? null : html`<section><h2>Checkpoints</h2>${tables}</section>`;
}

/** Shows the code that differs between the first run and each of the others. */
export function code(diff: Diff | null, mostCharacters: number): Html | null {
  if (!diff || diff.code.files.length === 0) return null;
  let left = mostCharacters;
  const files = diff.code.files.map(({ path, side, added, removed, hunks }) => {
    const lines = hunks === null || hunks.length > left ? null : hunks;
    left -= lines?.length ?? 0;
    const shown = lines
      ?.split('\n')
      .map(
        (line) =>
          html`<span class="${line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : 'same'}">${line}\n</span>`,
      );
    return html`<details><summary>${path} <span class="quiet">in ${diff.sides[side]!.label}, +${integer(added)} −${integer(removed)}</span></summary>${shown ? html`<pre>${shown}</pre>` : html`<p class="quiet">Not text, or too long for this report.</p>`}</details>`;
  });
  return html`<section><h2>Code, compared with ${diff.sides[0]!.label}</h2>${files}</section>`;
}

export function environments(all: readonly ReportedRun[]): Html | null {
  const names = [...new Set(all.flatMap(({ environment }) => Object.keys(environment)))];
  if (names.length === 0) return null;
  const rows = names.map(
    (name) =>
      html`<tr><th>${name}</th>${all.map(({ environment }) => html`<td>${environment[name] ?? '–'}</td>`)}</tr>`,
  );
  return html`<section><h2>Environment</h2><table>${headsOf(all)}<tbody>${rows}</tbody></table></section>`;
}

function headsOf(all: readonly ReportedRun[]): Html {
  return html`<thead><tr><th></th>${all.map(({ run }, i) => html`<th>${swatch(i)}${run.name}</th>`)}</tr></thead>`;
}

function swatch(index: number): Html {
  return html`<i style="background:${colorOf(index)}"></i>`;
}

function gradeOf({ grade, proof, missing, ingredients }: Checkpoint): string {
  if (grade === 'verified') return `verified, ${counted(proof?.steps ?? 0, 'step')}`;
  if (grade !== 'partial') return grade;
  return `partial: ${(ingredients ? missingOf(ingredients) : missing).join('; ')}`;
}

function paramText(value: ParamValue | undefined): string {
  if (value === undefined) return '–';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function tookOf({ startedAt, endedAt }: Run): string {
  return startedAt === null || endedAt === null ? '–' : duration((endedAt - startedAt) / 1000);
}

function branchOf({ branch, commit, dirty }: Run): string {
  const at = commit ? ` at ${commit.slice(0, 10)}` : '';
  return `${branch ?? '–'}${at}${dirty ? ', with uncommitted changes' : ''}`;
}

/** Takes the values that a curve has, as numbers. */
export function numbersOf(values: Parameters<typeof fromWireNumber>[0][]): number[] {
  return values.map(fromWireNumber);
}
