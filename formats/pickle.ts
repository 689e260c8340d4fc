/**
 * Reads pickles of the protocols 0 to 5 without running anything: a call becomes a node with its function and
 * arguments. Pure. Memory is counted before it is allocated, copies too; long bytes and texts stay in the file.
 */
import { Budget } from './budget.ts';
import { FormatError } from './format-error.ts';
import { OPERATIONS } from './pickle-operations.ts';
import {
  PickleData,
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleLong,
  PickleObject,
  PicklePersistent,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from './pickle-values.ts';
import { type Read, Window } from './window.ts';

/**
 * Reads a pickle. Returns the value and the end of the pickle: files of torch's older format contain several. Throws
 * FormatError.
 */
export function readPickle(
  read: Read,
  { start, end, budget = new Budget() }: { start: number; end: number; budget?: Budget },
): { value: PickleValue; end: number } {
  return new Machine(new Window(read, start, end, 'the pickle'), budget).run();
}
const STOP = 0x2e;
const MARK = Symbol('mark');
type Slot = PickleValue | typeof MARK;

/** Limit of the stack, where every value takes eight bytes. */
const MAX_STACK = 16 << 20;
/** Sizes above which texts and bytes stay in the file: longer ones are no names and no numbers. */
const MAX_TEXT_BYTES = 64 << 10;
const MAX_INLINE_BYTES = 64;
/** Size of the beginning that is shown of a text that stays in the file. */
const START_BYTES = 400;
const MAX_LINE_BYTES = 64 << 10;
/** Limit of digits: reading many takes quadratic time, and the first ones are enough. */
const MAX_DIGITS = 40;
const MAX_NUMBER_BYTES = 16;

/** Approximate memory of the parts of a value. */
const OBJECT_COST = 72;
const ITEM_COST = 8;
const PAIR_COST = 48;
const NUMBER_COST = 16;
const BYTES_COST = 160;

const DICTS = new Set([
  'collections.OrderedDict',
  'collections.defaultdict',
  'collections.Counter',
  'builtins.dict',
  '__builtin__.dict',
]);
const SETS = new Set(['builtins.set', '__builtin__.set', 'builtins.frozenset', '__builtin__.frozenset']);

/** Machine with a stack, a memo and the bytes; `OPERATIONS` defines each opcode. */
export class Machine {
  readonly bytes: Window;
  readonly #budget: Budget;
  readonly #stack: Slot[] = [];
  /** Memo by index: consecutive, except in hostile files and very old ones. */
  readonly #memo: PickleValue[] = [];
  readonly #sparseMemo = new Map<number, PickleValue>();

  constructor(bytes: Window, budget: Budget) {
    this.bytes = bytes;
    this.#budget = budget;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      const code = this.bytes.byte();
      if (code === STOP) return { value: this.pop(), end: this.bytes.at };
      const operation = OPERATIONS[code];
      if (!operation) throw new FormatError(`a pickle has no operation ${code}`);
      operation(this);
    }
  }

  // ---- the stack ----

  push(slot: PickleValue): void {
    this.#grow(slot);
  }

  pushMark(): void {
    this.#grow(MARK);
  }

  /** Removes the top, which may be a mark. */
  drop(): void {
    this.#stack.pop();
  }

  pop(): PickleValue {
    const slot = this.#stack.pop();
    if (slot === undefined || slot === MARK) throw new FormatError('the pickle takes what is not there');
    return slot as PickleValue;
  }

  top(): PickleValue {
    const slot = this.#stack.at(-1);
    if (slot === undefined || slot === MARK) throw new FormatError('the pickle takes what is not there');
    return slot as PickleValue;
  }

  /** Removes and returns everything above the newest mark, and removes the mark. */
  items(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw new FormatError('the pickle has no mark');
    const items = this.#stack.slice(mark + 1) as PickleValue[];
    this.#stack.length = mark;
    return items;
  }

  #grow(slot: Slot): void {
    if (this.#stack.length >= MAX_STACK) throw new FormatError('the pickle piles up too many values');
    this.#stack.push(slot);
  }

  // ---- the memo ----

  remember(index: number): void {
    const value = this.top();
    this.#budget.spend(ITEM_COST);
    if (index > this.#memo.length) {
      this.#budget.spend(PAIR_COST);
      this.#sparseMemo.set(index, value);
    } else {
      this.#memo[index] = value;
      this.#sparseMemo.delete(index);
    }
  }

  rememberNext(): void {
    this.remember(this.#memo.length + this.#sparseMemo.size);
  }

  recall(index: number): void {
    const value = index < this.#memo.length ? this.#memo[index] : this.#sparseMemo.get(index);
    if (value === undefined) throw new FormatError('the pickle refers to what is not there');
    this.push(value);
  }

  // ---- plain values ----

  pushDouble(number: number): void {
    this.#budget.spend(NUMBER_COST);
    this.push(number);
  }

  /** Reads a little-endian integer in two's complement. */
  pushInteger(length: number): void {
    if (length > MAX_NUMBER_BYTES) {
      this.bytes.skip(length);
      this.#budget.spend(OBJECT_COST);
      this.push(new PickleLong(`an integer of ${length.toLocaleString('en-US')} bytes`));
      return;
    }
    const bytes = this.bytes.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    const signed = BigInt.asIntN(length * 8, value);
    this.#budget.spend(NUMBER_COST * 2);
    this.push(Number.isSafeInteger(Number(signed)) ? Number(signed) : signed);
  }

  /** Reads an integer line; `I01` and `I00` are the booleans of protocol 0. */
  pushDecimalLine(isLong: boolean): void {
    const line = this.line();
    if (!isLong && (line === '00' || line === '01')) {
      this.push(line === '01');
      return;
    }
    const digits = (isLong ? line.replace(/L$/, '') : line).trim();
    if (!/^[+-]?\d+$/.test(digits)) throw new FormatError('the pickle has a bad number');
    this.#budget.spend(OBJECT_COST);
    if (digits.length > MAX_DIGITS) {
      this.push(new PickleLong(`${digits.slice(0, MAX_DIGITS)}… (${digits.length.toLocaleString('en-US')} digits)`));
      return;
    }
    const number = Number(digits);
    this.push(Number.isSafeInteger(number) ? number : BigInt(digits.replace(/^\+/, '')));
  }

  pushDoubleLine(): void {
    this.pushDouble(Number(this.line()));
  }

  line(): string {
    return this.bytes.line(MAX_LINE_BYTES);
  }

  /** Reads an index of the memo, as protocol 0 writes it. */
  indexLine(): number {
    const number = Number(this.line());
    if (!Number.isSafeInteger(number) || number < 0) throw new FormatError('the pickle has a bad index');
    return number;
  }

  // ---- texts and bytes ----

  pushText(length: number, encoding: 'utf8' | 'latin1'): void {
    if (length > MAX_TEXT_BYTES) this.#pushData(length, 'text');
    else this.pushString(this.bytes.text(length, encoding));
  }

  pushString(text: string): void {
    this.#budget.spend(NUMBER_COST + text.length);
    this.push(text);
  }

  pushBytes(length: number): void {
    if (length > MAX_INLINE_BYTES) this.#pushData(length, 'bytes');
    else {
      this.#budget.spend(BYTES_COST);
      this.push(Uint8Array.from(this.bytes.take(length)));
    }
  }

  #pushData(length: number, kind: 'bytes' | 'text'): void {
    this.#budget.spend(OBJECT_COST);
    const at = this.bytes.at;
    const start = kind === 'text' ? this.bytes.text(START_BYTES, 'utf8') : '';
    this.bytes.skip(at + length - this.bytes.at);
    this.push(new PickleData(at, length, kind, start));
  }

  // ---- containers and calls ----

  pushTuple(items: PickleValue[]): void {
    this.#budget.spend(OBJECT_COST + items.length * ITEM_COST);
    this.push(new PickleTuple(items));
  }

  pushSet(items: PickleValue[]): void {
    this.#budget.spend(OBJECT_COST + items.length * ITEM_COST);
    this.push(new PickleSet(items));
  }

  pushList(items: readonly PickleValue[]): void {
    this.#budget.spend(OBJECT_COST);
    this.push(new PickleList());
    this.append(items);
  }

  pushDict(items: readonly PickleValue[]): void {
    this.#budget.spend(OBJECT_COST);
    this.push(new PickleDict());
    this.set(items);
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof PickleList || target instanceof PickleSet || target instanceof PickleObject)) return;
    this.#budget.spend(items.length * ITEM_COST);
    const list = target instanceof PickleObject ? target.ownItems() : target.items;
    for (const item of items) list.push(item);
  }

  /** Adds alternating keys and values. */
  set(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof PickleDict || target instanceof PickleObject)) return;
    this.#budget.spend((items.length / 2) * PAIR_COST);
    const entries = target instanceof PickleObject ? target.ownEntries() : target.entries;
    for (let i = 0; i + 1 < items.length; i += 2) entries.push([items[i]!, items[i + 1]!]);
  }

  build(state: PickleValue): void {
    const target = this.top();
    if (target instanceof PickleObject || target instanceof PickleDict) target.state = state;
  }

  pushGlobal(module: PickleValue, name: PickleValue): void {
    if (typeof module !== 'string' || typeof name !== 'string')
      throw new FormatError('the pickle names a class by what is no text');
    this.#budget.spend(OBJECT_COST + module.length + name.length);
    this.push(new PickleGlobal(`${module}.${name}`));
  }

  pushObject(callable: PickleValue, args: PickleValue, named: PickleValue = null): void {
    this.#budget.spend(OBJECT_COST);
    const object = new PickleObject(callable, args);
    if (named instanceof PickleDict && named.entries.length > 0) {
      this.#budget.spend(named.entries.length * ITEM_COST);
      const entries = object.ownEntries();
      for (const entry of named.entries) entries.push(entry);
    }
    this.push(object);
  }

  pushPersistent(id: PickleValue): void {
    this.#budget.spend(OBJECT_COST);
    this.push(new PicklePersistent(id));
  }

  /** Evaluates containers; any other call stays a node. */
  reduce(callable: PickleValue, args: PickleValue): void {
    const container =
      callable instanceof PickleGlobal && args instanceof PickleTuple ? this.#evaluated(callable.name, args) : null;
    if (container === null) this.pushObject(callable, args);
    else {
      this.#budget.spend(OBJECT_COST);
      this.push(container);
    }
  }

  #evaluated(name: string, { items: args }: PickleTuple): PickleValue {
    const [first] = args;
    if (DICTS.has(name) && (args.length === 0 || name === 'collections.defaultdict')) return new PickleDict();
    if (SETS.has(name) && (first === undefined || first instanceof PickleList || first instanceof PickleTuple)) {
      const items = first?.items ?? [];
      this.#budget.spend(items.length * ITEM_COST);
      return new PickleSet([...items]);
    }
    // Protocol 2 writes bytes like this.
    if (name !== '_codecs.encode') return null;
    if (typeof first === 'string') {
      this.#budget.spend(BYTES_COST + first.length);
      return Uint8Array.from(Buffer.from(first, 'latin1'));
    }
    return first instanceof PickleData && first.kind === 'text'
      ? new PickleData(first.offset, first.length, 'latin1')
      : null;
  }
}
