/** The table's columns, its order and its filter. Pure. */
import { fromWireNumber, readNumber } from '../protocol/numbers.ts';
import type { RunRow } from './contract.ts';

export interface Column {
  /** Key: `run`, `branch`, `status`, `step`, `age`, `param:lr`, `metric:loss`. */
  key: string;
  title: string;
  number: boolean;
  value(row: RunRow): string | number | boolean | null | undefined;
}

export const FIXED: readonly Column[] = [
  { key: 'run', title: 'Run', number: false, value: ({ name }) => name },
  { key: 'branch', title: 'Branch', number: false, value: ({ branch }) => branch },
  { key: 'status', title: 'Status', number: false, value: ({ status }) => status },
  { key: 'step', title: 'Step', number: true, value: ({ step }) => step },
  { key: 'age', title: 'Age', number: true, value: ({ createdAt }) => -createdAt },
];

/** Lists the columns. Params that differ come first: those that are equal in all runs tell nothing. */
export function columnsOf(rows: readonly RunRow[]): Column[] {
  const params = new Set<string>();
  const metrics = new Set<string>();
  for (const { params: given, metrics: own } of rows) {
    for (const name of Object.keys(given)) params.add(name);
    for (const name of Object.keys(own)) metrics.add(name);
  }
  const differing = new Set([...params].filter((name) => differs(rows, name)));
  const ordered = [...params].sort((a, b) => Number(differing.has(b)) - Number(differing.has(a)));
  return [
    ...FIXED,
    ...[...metrics].map(
      (name): Column => ({
        key: `metric:${name}`,
        title: `${name} (${wordOf(rows, name)})`,
        number: true,
        value: ({ metrics: own }) => own[name] && shownOf(own[name]),
      }),
    ),
    ...ordered.map(
      (name): Column => ({
        key: `param:${name}`,
        title: name,
        number: rows.some(({ params: own }) => typeof own[name] === 'number'),
        value: ({ params: own }) => own[name],
      }),
    ),
  ];
}

/** Tells which value of a metric its column shows: all rows agree on one word, or each cell says its own. */
function wordOf(rows: readonly RunRow[], name: string): string {
  const words = new Set(rows.flatMap(({ metrics }) => (metrics[name] ? (metrics[name].best?.word ?? 'last') : [])));
  return [...words].sort().join(' or ');
}

/** Returns the best value, else the last. */
function shownOf({ best, last }: RunRow['metrics'][string]): number {
  return best?.value ?? fromWireNumber(last);
}

function differs(rows: readonly RunRow[], name: string): boolean {
  return new Set(rows.map(({ params }) => JSON.stringify(params[name]))).size > 1;
}

/** Selects the columns shown by default: metrics, and params that differ. */
export function shownByDefault(columns: readonly Column[], rows: readonly RunRow[]): string[] {
  const metrics = columns
    .filter(({ key }) => key.startsWith('metric:'))
    .sort((a, b) => rankOf(rows, a) - rankOf(rows, b))
    .slice(0, 4);
  const params = columns.filter(({ key, title }) => key.startsWith('param:') && differs(rows, title)).slice(0, 6);
  return [...FIXED, ...metrics, ...params].map(({ key }) => key);
}

/** Ranks a metric: the one that runs are judged by, then those of the validation, then those with a better direction. */
function rankOf(rows: readonly RunRow[], { key }: Column): number {
  const name = key.slice('metric:'.length);
  const words = new Set(rows.map(({ metrics }) => metrics[name]?.best?.word));
  if (words.has('best')) return 0;
  const hasDirection = words.has('lowest') || words.has('highest');
  if (/^(val|valid|validation|eval|test|dev)[^a-z]/i.test(name)) return hasDirection ? 1 : 3;
  return hasDirection ? 2 : 4;
}

/** Sorts rows; those without a value come last in both directions. */
export function sortedBy(rows: readonly RunRow[], column: Column, descending: boolean): RunRow[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    const [noX, noY] = [isNothing(x), isNothing(y)];
    if (noX || noY) return Number(noX) - Number(noY) || b.number - a.number;
    if (typeof x === 'number' && typeof y === 'number') return sign * (x - y) || b.number - a.number;
    return sign * String(x).localeCompare(String(y), undefined, { numeric: true }) || b.number - a.number;
  });
}

function isNothing(value: unknown): boolean {
  return value == null || (typeof value === 'number' && Number.isNaN(value));
}

const COMPARISON = /^([^<>=!]+)(<=|>=|!=|=|<|>)(.+)$/;

/** Parses a filter: words that a row must contain, and comparisons such as `lr>0.001 status=failed`. */
export function filterOf(text: string): (row: RunRow) => boolean {
  const tests = text.trim().split(/\s+/).filter(Boolean).map(testOf);
  return (row) => tests.every((test) => test(row));
}

function testOf(word: string): (row: RunRow) => boolean {
  const found = COMPARISON.exec(word);
  if (!found) {
    const wanted = word.toLowerCase();
    return ({ name, label, branch, status, sweep, tags, params }) =>
      [
        name,
        label,
        branch ?? '',
        status,
        sweep ?? '',
        ...tags.map((tag) => `#${tag}`),
        ...Object.entries(params).map(([key, value]) => `${key}=${value}`),
      ].some((part) => part.toLowerCase().includes(wanted));
  }
  const [, name, operator, right] = found as unknown as [string, string, string, string];
  return (row) => {
    const left = fieldOf(row, name);
    if (left == null) return operator === '!=';
    const [a, b] = [Number(left), readNumber(right) ?? Number(right)];
    // NaN equals only NaN, and is neither above nor below a number.
    if (Number.isNaN(left))
      return Number.isNaN(readNumber(right) ?? 0) ? operator.endsWith('=') && operator !== '!=' : operator === '!=';
    const numbers = !Number.isNaN(a) && !Number.isNaN(b);
    const order = numbers ? compare(a, b) : String(left).localeCompare(right);
    switch (operator) {
      case '=':
        return order === 0;
      case '!=':
        return order !== 0;
      case '<':
        return order < 0;
      case '<=':
        return order <= 0;
      case '>':
        return order > 0;
      default:
        return order >= 0;
    }
  };
}

/** Orders numbers; subtracting two infinities would give no order. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function fieldOf(row: RunRow, name: string): unknown {
  if (Object.hasOwn(row.params, name)) return row.params[name];
  if (Object.hasOwn(row.metrics, name)) return shownOf(row.metrics[name]!);
  return FIXED.find(({ key }) => key === name)?.value(row);
}
