/** Makes a report about runs: one HTML file that loads nothing and runs no script. */
import { TrainstashError } from '../../protocol/errors.ts';
import { diffShow } from '../../protocol/messages/diff.ts';
import { metricsQuery, usageQuery } from '../../protocol/messages/metrics.ts';
import type { Request } from '../../protocol/messages/request.ts';
import { runShow } from '../../protocol/messages/run.ts';
import { colorOf } from './chart.ts';
import { Html, html } from './html.ts';
import * as sections from './sections.ts';

const MOST_RUNS = 20;
const MOST_METRICS = 24;
/** Sizes that keep a report below two megabytes: it is sent by mail. */
const CURVE_CHARACTERS = 1_000_000;
const CODE_CHARACTERS = 300_000;
/** Characters that a bucket of a curve takes: two points. */
const BUCKET_CHARACTERS = 26;

const STYLE = `
:root{color-scheme:light dark;--quiet:#666;--line:#ddd;--back:#fff;--text:#1a1a1a;--mark:#fff6d8}
@media(prefers-color-scheme:dark){:root{--quiet:#999;--line:#444;--back:#1e1e1e;--text:#ddd;--mark:#3a3520}}
body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1400px;padding:0 1.5em;background:var(--back);color:var(--text)}
h1{font-size:1.5em}h2{font-size:1.2em;border-bottom:1px solid var(--line);margin-top:1.6em}h3{font-size:1em;margin:1em 0 0}
table{border-collapse:collapse;margin:.5em 0;display:block;overflow-x:auto}
th,td{text-align:left;padding:3px 14px 3px 0;vertical-align:top;font-weight:normal}
thead th,.quiet{color:var(--quiet)}.number{text-align:right;font-variant-numeric:tabular-nums}
.differs>*{background:var(--mark)}i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:8px 24px}
figure{margin:0;min-width:0}figcaption{font-weight:600}svg{width:100%;height:auto}
.grid line{stroke:var(--line)}.grid text{font-size:11px;fill:var(--quiet)}path{fill:none;stroke-width:1.6}.strange{fill:#d9403a}
.legend{margin:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:12px}
pre{overflow-x:auto;font-size:12px;padding:8px;border:1px solid var(--line)}.added{color:#2f9e44}.removed{color:#d9403a}
@media print{details{display:block}}
`;

/** Requests of a client of the daemon. */
export interface Asking {
  request<P, R>(message: Request<P, R>, params: P): Promise<R>;
}

/** Returns the page. `runs`: ids, names or numbers, the first of which the others are compared with. */
export async function reportOf(
  client: Asking,
  root: string,
  runs: readonly string[],
  now = new Date(),
): Promise<string> {
  if (runs.length > MOST_RUNS)
    throw new TrainstashError('paramInvalid', `A report has at most ${MOST_RUNS} runs. Nothing was written.`, {
      param: 'run',
      expected: `at most ${MOST_RUNS} runs`,
    });
  const all: sections.ReportedRun[] = [];
  for (const word of runs) {
    const { run, sessions, checkpoints } = await client.request(runShow, { root, run: word });
    const { series: usage } = await client.request(usageQuery, { root, run: run.id });
    const environment = sessions.filter(({ purpose }) => purpose === 'train').at(-1)?.environment ?? {};
    const newest = [...checkpoints].sort((a, b) => b.step - a.step);
    if (!all.some((one) => one.run.id === run.id)) all.push({ run, checkpoints: newest, usage, environment });
  }
  const names = metricsOf(all);
  const curves = await curvesOf(client, root, all, names.slice(0, MOST_METRICS));
  const sides = all.slice(0, 8).map(({ run }) => run.id);
  const diff = sides.length > 1 ? await client.request(diffShow, { root, sides }) : null;
  const title = all.map(({ run }) => run.name).join(', ');
  const parts = [
    sections.overview(all),
    sections.curves(curves, names.length - MOST_METRICS),
    sections.params(all),
    sections.checkpoints(all),
    sections.code(diff, CODE_CHARACTERS),
    sections.environments(all),
  ];
  return pageOf(title, now, parts).text;
}

function pageOf(title: string, now: Date, parts: readonly (Html | null)[]): Html {
  // Nothing is loaded and nothing runs, whatever a name or a note contains.
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  const styles = html`<style>${new Html(STYLE)}</style>`;
  return html`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title>${styles}</head>
<body><h1>${title}</h1><p class="quiet">Written by Trainstash on ${now.toISOString().slice(0, 16).replace('T', ' at ')} UTC.</p>
${parts}
</body></html>
`;
}

/** Lists the metrics of the runs: those that runs are judged by, then losses, then the others. */
function metricsOf(all: readonly sections.ReportedRun[]): string[] {
  const names = [...new Set(all.flatMap(({ run }) => Object.keys(run.metrics)))];
  const judged = new Set(all.map(({ run }) => run.monitor?.metric));
  const rank = (name: string) =>
    judged.has(name) ? 0 : /loss|err/i.test(name) ? 1 : /^(lr|learning_?rate)$/i.test(name) ? 3 : 2;
  return names.sort((a, b) => rank(a) - rank(b));
}

async function curvesOf(
  client: Asking,
  root: string,
  all: readonly sections.ReportedRun[],
  names: readonly string[],
): Promise<sections.ReportedCurves[]> {
  const each = CURVE_CHARACTERS / Math.max(1, names.length * all.length) / BUCKET_CHARACTERS;
  const buckets = Math.max(20, Math.min(400, Math.floor(each)));
  const found: sections.ReportedCurves[] = [];
  for (const name of names) {
    const lines: sections.ReportedCurves['lines'] = [];
    for (const [i, { run }] of all.entries()) {
      if (!run.metrics[name]) continue;
      const { series } = await client.request(metricsQuery, { root, run: run.id, names: [name], buckets });
      const [one] = series;
      if (one) lines.push({ label: run.name, color: colorOf(i), xs: one.steps, ys: sections.numbersOf(one.values) });
    }
    found.push({ name, lines });
  }
  return found;
}
