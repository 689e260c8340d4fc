/** Writes the results of a benchmark run: a part of docs/benchmarks.md, its chart, and every number as JSON. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join, resolve } from 'node:path';
import { chartOf } from './chart.ts';
import { WHAT } from './descriptions.ts';
import { goalOf, isReached, median, type Result, round } from './measure.ts';

const DOCS = resolve(import.meta.dirname, '../docs');
const PAGE = join(DOCS, 'benchmarks.md');
const BEGIN = '<!-- written by `npm run bench` -->';
const END = '<!-- end of what `npm run bench` writes -->';
const STORAGE = 'storage.';

const NUMBERS = join(DOCS, 'benchmarks.json');

/** A number with the day that it was measured on, if that is not the newest run's. */
type Dated = Result & { measured?: string };

/** Writes the results of some groups, or of all. Numbers of groups that were not measured now stay, with their day. */
export function writeReport(measured: readonly Result[], dist: string): void {
  const machine = machineFacts(dist);
  const earlier = JSON.parse(readFileSync(NUMBERS, 'utf8')) as { machine: { date: string }; results: Dated[] };
  const results = merged(measured, earlier.results, earlier.machine.date, machine.date);
  // Saved first: the numbers took long, and the page may be at fault.
  writeFileSync(NUMBERS, `${JSON.stringify({ machine, results }, null, 1)}\n`);
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before < 0 || after < before)
    throw new Error(`${PAGE} no longer has the marks between which the numbers are written`);
  const parts = [
    `Measured on ${machine.date}, except where a row has another day: ${machine.processor}, ${machine.memory}, ${machine.system}. ${machine.versions.join(', ')}.`,
    '![each result beside the alternative](pictures/benchmarks.svg)',
    table(results.filter(({ name }) => !besidePeers(name))),
    storageTable(results),
  ];
  const written = `${page.slice(0, before)}${BEGIN}\n\n${parts.join('\n\n')}\n\n${page.slice(after)}`;
  writeFileSync(PAGE, written);
  writeFileSync(join(DOCS, 'pictures/benchmarks.svg'), chartOf(results));
  console.log(`written: ${PAGE}, benchmarks.json, pictures/benchmarks.svg`);
}

/** Replaces numbers by new ones, in the order of their descriptions; those that are described no more are left out. */
export function merged(measured: readonly Result[], before: readonly Dated[], then: string, today: string): Dated[] {
  const now = new Set(measured.map(({ name }) => name));
  const kept = before
    .filter(({ name }) => !now.has(name) && (name in WHAT || besidePeers(name)))
    .map((one) => ({ ...one, measured: one.measured ?? then }))
    .map(({ measured: day, ...one }) => (day === today ? one : { ...one, measured: day }));
  const order = Object.keys(WHAT);
  const place = ({ name }: Result) => (order.includes(name) ? order.indexOf(name) : order.length);
  return [...measured, ...kept].sort((a, b) => place(a) - place(b));
}

function machineFacts(dist: string) {
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as { version: string };
  const version = (name: string) =>
    (JSON.parse(readFileSync(resolve(dist, `../node_modules/${name}/package.json`), 'utf8')) as { version: string })
      .version;
  const said = (command: string, ...args: string[]) => {
    try {
      return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .split('\n')[0]!
        .trim();
    } catch {
      return null;
    }
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus().length} cores of ${cpus()[0]!.model}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${type()} ${release()}`,
    versions: [
      `Trainstash ${build.version}`,
      `Node ${process.versions.node}`,
      `better-sqlite3 ${version('better-sqlite3')}`,
      `TensorFlow.js ${version('@tensorflow/tfjs-core')}`,
      said('git', '--version'),
      said('git', 'lfs', 'version')?.split(' ')[0],
      said('git', 'annex', 'version', '--raw')?.replace(/^/, 'git-annex '),
      said('restic', 'version')?.split(' compiled')[0],
      said('borg', '--version'),
    ].filter((text): text is string => !!text),
  };
}

/** Tells whether a result belongs in the table of its own that has a column for each alternative. */
function besidePeers(name: string): boolean {
  return name.startsWith(STORAGE) && COLUMNS.some(([column]) => name === `${STORAGE}${column}`);
}

function table(results: readonly Dated[]): string {
  const rows = results.map((result) => {
    const { name, value, unit, raw, theirs, versus, ratio } = result;
    const reached =
      result.goal.atLeast === undefined && result.goal.atMost === undefined
        ? ''
        : isReached(result)
          ? '✔'
          : '**missed**';
    return [
      `\`${name}\`${result.measured === undefined ? '' : ` (${result.measured})`}`,
      WHAT[name] ?? '**not described in bench/descriptions.ts**',
      `${round(value)} ${unit}${spreadOf(raw?.ours)}`,
      theirs === undefined ? '' : `${round(theirs)} ${unit}${spreadOf(raw?.theirs)}: ${versus}`,
      ratio === undefined ? '' : `${round(ratio)}`,
      `${goalOf(result)} ${reached}`.trim(),
    ];
  });
  return lines([['number', 'what', 'ours', 'theirs', 'ratio', 'wanted'], ...rows]);
}

/** Returns half the interquartile range as a share of the median. */
function spreadOf(values: readonly number[] | undefined): string {
  if (!values || values.length < 4) return '';
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round((sorted.length - 1) * share)]!;
  const spread = (at(0.75) - at(0.25)) / 2 / median(values);
  return Number.isFinite(spread) ? ` ± ${Math.round(spread * 100)} %` : '';
}

const COLUMNS: [name: string, title: string][] = [
  ['add', 'add one'],
  ['restore-new', 'restore a new one'],
  ['restore-first', 'restore the first, packed'],
  ['restore-last', 'restore the last, packed'],
  ['bytes', 'on the disk'],
  ['bytes-half', 'after deleting ten of 27'],
  ['forget-half', 'deleting them'],
];

function storageTable(results: readonly Result[]): string {
  const of = (column: string) => results.filter(({ name }) => name === `${STORAGE}${column}`);
  const peers = of('add').map(({ versus }) => versus!);
  if (peers.length === 0) return '';
  const cell = (value: number | undefined, unit: string) => (value === undefined ? '' : `${round(value)} ${unit}`);
  const ours = COLUMNS.map(([column]) => cell(of(column)[0]?.value, of(column)[0]?.unit ?? ''));
  const rows = peers.map((peer) => [
    peer,
    ...COLUMNS.map(([column]) => {
      const found = of(column).find(({ versus }) => versus === peer);
      return cell(found?.theirs, found?.unit ?? '');
    }),
  ]);
  return `A real training’s checkpoints beside other tools:\n\n${lines([['', ...COLUMNS.map(([, title]) => title)], ['**Trainstash**', ...ours], ...rows])}`;
}

function lines(rows: readonly (readonly string[])[]): string {
  const [head, ...rest] = rows;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head!), line(head!.map(() => '---')), ...rest.map(line)].join('\n');
}
