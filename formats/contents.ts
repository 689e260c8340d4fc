/**
 * Collects the contents of an unpickled structure: tensors by their names, plain values, and everything else by class.
 * Pure.
 */
import { Budget } from './budget.ts';
import {
  PickleData,
  PickleDict,
  PickleGlobal,
  type PickleList,
  PickleLong,
  PickleObject,
  PicklePersistent,
  type PickleSet,
  PickleTuple,
  type PickleValue,
} from './pickle-values.ts';
import { dtypeName, numpyDtype, type PickledTensor, tensorOf } from './pickled-tensors.ts';

export interface FoundTensor extends PickledTensor {
  name: string;
}

export interface NamedValue {
  name: string;
  value: string | number | boolean | null;
}

export interface Contents {
  tensors: FoundTensor[];
  /** Plain values by their position, such as hyper-parameters. Only the first ones; `valueCount` counts all. */
  values: NamedValue[];
  valueCount: number;
  /** Unknown classes and functions that the file names: they are shown, never instantiated. */
  classes: Map<string, number>;
  /** True if a limit was reached: there is more. */
  truncated: boolean;
}

const MAX_NODES = 4_000_000;
const MAX_DEPTH = 200;
const MAX_VALUES = 5_000;
const MAX_TEXT = 200;
/**
 * Longest name. Names in ordinary files have a tenth of it. A longer name keeps its ends, with a number that
 * distinguishes it.
 */
const MAX_NAME = 8_192;
const NAME_END = 300;
/** Approximate memory of a tensor in the list, without its name. */
const TENSOR_COST = 400;

export function contentsOf(root: PickleValue, budget = new Budget()): Contents {
  const walk = new Walk(budget);
  walk.visit(root, '', 0);
  return walk.contents;
}

class Walk {
  readonly contents: Contents = { tensors: [], values: [], valueCount: 0, classes: new Map(), truncated: false };
  readonly #budget: Budget;
  #nodes = 0;
  #longNames = 0;
  /** Values on the path from the root: a cycle ends here. */
  readonly #path = new Set<PickleValue>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  visit(value: PickleValue, name: string, depth: number): void {
    if (++this.#nodes > MAX_NODES || depth > MAX_DEPTH) {
      this.contents.truncated = true;
      return;
    }
    if (value === null || typeof value !== 'object' || value instanceof PickleLong || value instanceof PickleData) {
      this.#plain(value, name);
      return;
    }
    if (value instanceof Uint8Array || value instanceof PicklePersistent) return;
    if (value instanceof PickleGlobal) {
      this.#global(value, name);
      return;
    }
    if (this.#path.has(value)) return;
    this.#path.add(value);
    if (value instanceof PickleObject) this.#object(value, name, depth);
    else if (value instanceof PickleDict) this.#entries(value.entries, name, depth);
    else this.#items(value, name, depth);
    this.#path.delete(value);
  }

  #entries(entries: readonly [PickleValue, PickleValue][], name: string, depth: number): void {
    for (const [key, value] of entries) {
      if (this.#nodes > MAX_NODES) return;
      this.visit(value, this.#joined(name, keyText(key)), depth + 1);
    }
  }

  #items(value: PickleList | PickleTuple | PickleSet, name: string, depth: number): void {
    const { items } = value;
    // Paddle writes a parameter as `('linear.weight', array)`.
    if (value instanceof PickleTuple && items.length === 2 && typeof items[0] === 'string') {
      const tensor = tensorOf(items[1]!);
      if (tensor) {
        this.#tensor(tensor, name);
        return;
      }
    }
    // A list of plain values counts as one value: a replay buffer has millions.
    if (items.length > 0 && items.every((item) => item === null || typeof item !== 'object')) {
      if (this.#countsValue(name)) this.#value(name, listText(items));
      return;
    }
    for (const [i, item] of items.entries()) {
      if (this.#nodes > MAX_NODES) return;
      this.visit(item, this.#joined(name, String(i)), depth + 1);
    }
  }

  #object(value: PickleObject, name: string, depth: number): void {
    const tensor = tensorOf(value);
    if (tensor) {
      this.#tensor(tensor, name);
      return;
    }
    const known = textOf(value);
    if (known !== undefined) {
      if (this.#countsValue(name)) this.#value(name, known);
      return;
    }
    const inner = innerOf(value);
    if (inner) {
      this.visit(inner, name, depth + 1);
      return;
    }
    if (value.callable instanceof PickleGlobal) this.#count(value.callable.name);
    else this.visit(value.callable, name, depth + 1);
    // Its tensors are listed anyway: whole models are pickled as objects.
    this.visit(value.args, name, depth + 1);
    if (value.state instanceof PickleDict) this.#entries(modulesOf(value.state.entries), name, depth);
    else if (value.state !== null) this.visit(value.state, name, depth + 1);
    for (const [i, item] of value.items.entries()) {
      if (this.#nodes > MAX_NODES) return;
      this.visit(item, this.#joined(name, String(i)), depth + 1);
    }
    this.#entries(value.entries, name, depth);
  }

  #tensor(tensor: PickledTensor, name: string): void {
    this.#budget.spend(TENSOR_COST + name.length);
    this.contents.tensors.push({ ...tensor, name: name || 'tensor' });
  }

  #global({ name }: PickleGlobal, place: string): void {
    // Data types are values; classes and functions are only counted.
    if (/^torch\.\w+$/.test(name)) this.#plain(name, place);
    else this.#count(name);
  }

  #plain(value: null | boolean | number | bigint | string | PickleLong | PickleData, name: string): void {
    if (!this.#countsValue(name)) return;
    if (value instanceof PickleLong) this.#value(name, value.text);
    else if (value instanceof PickleData)
      this.#value(name, value.start || `… ${value.length.toLocaleString('en-US')} bytes`);
    else if (typeof value === 'string') this.#value(name, value);
    else if (typeof value === 'bigint') this.#value(name, String(value));
    else this.#value(name, value);
  }

  /** Counts a value, and tells whether it is still kept. */
  #countsValue(name: string): boolean {
    return name !== '' && ++this.contents.valueCount <= MAX_VALUES;
  }

  #value(name: string, value: NamedValue['value']): void {
    // JSON has no NaN and no infinities.
    const shown = typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
    this.contents.values.push({ name, value: typeof shown === 'string' ? shortened(shown) : shown });
  }

  #count(name: string): void {
    const shown = shortened(name);
    const { classes } = this.contents;
    if (classes.size < MAX_VALUES || classes.has(shown)) classes.set(shown, (classes.get(shown) ?? 0) + 1);
  }

  #joined(before: string, key: string): string {
    const name = before === '' ? key : `${before}.${key}`;
    return name.length <= MAX_NAME
      ? name
      : `${name.slice(0, NAME_END)}…${name.slice(-NAME_END)} (${++this.#longNames})`;
  }
}

/** Returns the dense tensor inside a sparse one, which is shown as that. */
function innerOf({ callable, args }: PickleObject): PickleValue | null {
  if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) return null;
  return /^torch\._utils\._rebuild_sparse(_csr)?_tensor$/.test(callable.name) ? (args.items[1] ?? null) : null;
}

/**
 * Returns the value of objects that are shown as one: NumPy scalars, sizes, devices, paths. Undefined: another object.
 */
function textOf({ callable, args, state }: PickleObject): NamedValue['value'] | undefined {
  if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) return undefined;
  const { name } = callable;
  const [first, second] = args.items;
  if (/^numpy\.(_core|core)\.multiarray\.scalar$/.test(name)) {
    const dtype = dtypeName(first ?? null);
    return dtype !== null && second instanceof Uint8Array ? numberOf(dtype, second) : undefined;
  }
  if (name === 'torch.Size') return listText(first instanceof PickleTuple ? first.items : []);
  if (name === 'torch.device') return args.items.map(plainText).join(':');
  if (/^pathlib\.(_local\.)?\w*Path$/.test(name)) return pathText(args.items.map(plainText));
  if (name === 'decimal.Decimal') return args.items.map(plainText).join('');
  if (name === 'uuid.UUID' && state instanceof PickleDict) {
    const number = state.entries.find(([key]) => key === 'int')?.[1];
    const isNumber = typeof number === 'bigint' || typeof number === 'number';
    return isNumber && number >= 0 ? uuidText(number) : undefined;
  }
  return undefined;
}

/** Joins the parts of a path. The first part of an absolute path ends with a separator already. */
function pathText(parts: readonly string[]): string {
  const separator = parts.some((part) => /^[A-Za-z]:|\\$/.test(part)) ? '\\' : '/';
  const [first = '.', ...rest] = parts;
  const begins = first.endsWith(separator) ? first : `${first}${separator}`;
  return rest.length === 0 ? first : begins + rest.join(separator);
}

function uuidText(number: bigint | number): string {
  const digits = number.toString(16).padStart(32, '0');
  return [0, 8, 12, 16, 20].map((at, i, all) => digits.slice(at, all[i + 1])).join('-');
}

function plainText(value: PickleValue): string {
  return value !== null && typeof value === 'object' ? '…' : String(value);
}

function numberOf(descr: string, bytes: Uint8Array): number | boolean | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isLittle = !descr.startsWith('>');
  const dtype = numpyDtype(descr);
  const sizes: Record<string, number> = { F64: 8, F32: 4, I64: 8, I32: 4, BOOL: 1 };
  if (bytes.length < (sizes[dtype] ?? Number.POSITIVE_INFINITY)) return undefined;
  if (dtype === 'F64') return view.getFloat64(0, isLittle);
  if (dtype === 'F32') return view.getFloat32(0, isLittle);
  if (dtype === 'I64') return Number(view.getBigInt64(0, isLittle));
  return dtype === 'I32' ? view.getInt32(0, isLittle) : view.getUint8(0) !== 0;
}

/** Merges the three dictionaries in which a module keeps its tensors; their names are those of its state dict. */
function modulesOf(entries: readonly [PickleValue, PickleValue][]): [PickleValue, PickleValue][] {
  const own = new Set(['_parameters', '_buffers', '_modules']);
  return entries.flatMap(([key, value]): [PickleValue, PickleValue][] => {
    if (typeof key !== 'string' || !own.has(key) || !(value instanceof PickleDict)) return [[key, value]];
    return value.entries;
  });
}

function keyText(key: PickleValue): string {
  if (typeof key === 'string') return key;
  if (key instanceof PickleLong) return key.text;
  // A long text is no name: its position distinguishes it from others.
  if (key instanceof PickleData) return `${key.start}… (${key.offset})`;
  return key === null || typeof key !== 'object' ? String(key) : '?';
}

function listText(items: readonly PickleValue[]): string {
  const shown = items.slice(0, 16).map(plainText).join(', ');
  return `[${shown}${items.length > 16 ? `, … ${items.length} in all` : ''}]`;
}

function shortened(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}
