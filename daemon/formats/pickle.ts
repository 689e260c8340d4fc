/**
 * Reads pickles of the protocols 0 to 5, and runs nothing of them: what a pickle would call becomes a node that says so.
 * Pure. Its memory is bounded by the limits below and by the size of its input.
 */
import { FormatError } from './safetensors.ts';

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleList
  | PickleTuple
  | PickleDict
  | PickleSet
  | PickleGlobal
  | PickleObject
  | PicklePersistent;

export class PickleList {
  readonly items: PickleValue[] = [];
}
export class PickleTuple {
  readonly items: PickleValue[];
  constructor(items: PickleValue[]) {
    this.items = items;
  }
}
export class PickleDict {
  readonly entries: [PickleValue, PickleValue][] = [];
  /** Attributes set by BUILD: `_metadata` of a state dict. */
  state: PickleValue = null;
}
export class PickleSet {
  readonly items: PickleValue[];
  constructor(items: PickleValue[]) {
    this.items = items;
  }
}
/** A class or function, by name: never looked up. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
/** What would have been made by calling something. */
export class PickleObject {
  readonly callable: PickleValue;
  readonly args: PickleValue;
  state: PickleValue = null;
  readonly items: PickleValue[] = [];
  readonly entries: [PickleValue, PickleValue][] = [];
  constructor(callable: PickleValue, args: PickleValue) {
    this.callable = callable;
    this.args = args;
  }
}
/** A reference to something outside of the pickle: a storage of torch. */
export class PicklePersistent {
  readonly id: PickleValue;
  constructor(id: PickleValue) {
    this.id = id;
  }
}

const MAX_OPERATIONS = 20_000_000;
/** Containers and calls: each takes a few hundred bytes, whatever the pickle says of it in one. */
const MAX_OBJECTS = 2_000_000;
/** A number with more digits than this takes quadratic time to read, and means nothing to us. */
const MAX_NUMBER_BYTES = 1_000;

const MARK = Symbol('mark');
type Slot = PickleValue | typeof MARK;

const DICTS = new Set([
  'collections.OrderedDict',
  'collections.defaultdict',
  'collections.Counter',
  'builtins.dict',
  '__builtin__.dict',
]);
const SETS = new Set(['builtins.set', '__builtin__.set', 'builtins.frozenset', '__builtin__.frozenset']);

/** The value, and where the pickle ends: files of torch's older format hold several. Throws FormatError. */
export function readPickle(bytes: Uint8Array, start = 0): { value: PickleValue; end: number } {
  return new Machine(bytes, start).run();
}

class Machine {
  readonly #bytes: Buffer;
  #at: number;
  #stack: Slot[] = [];
  #objects = 0;
  readonly #memo = new Map<number, PickleValue>();

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  run(): { value: PickleValue; end: number } {
    try {
      for (let operations = 0; operations < MAX_OPERATIONS; operations++) {
        const code = this.#byte();
        if (code === 0x2e) return { value: this.#pop(), end: this.#at };
        this.#execute(code);
      }
    } catch (error) {
      if (error instanceof RangeError) throw new FormatError('the pickle breaks off');
      throw error;
    }
    throw new FormatError('the pickle has too many operations');
  }

  #execute(code: number): void {
    switch (code) {
      // ---- frames and protocol: nothing to do ----
      case 0x80:
        this.#skip(1);
        break;
      case 0x95:
        this.#skip(8);
        break;
      // ---- the stack ----
      case 0x28:
        this.#push(MARK);
        break;
      case 0x30:
        this.#stack.pop();
        break;
      case 0x31:
        this.#items();
        break;
      case 0x32:
        this.#push(this.#top());
        break;
      // ---- the memo ----
      case 0x70:
        this.#remember(this.#decimal());
        break;
      case 0x71:
        this.#remember(this.#byte());
        break;
      case 0x72:
        this.#remember(this.#unsigned32());
        break;
      case 0x94:
        this.#remember(this.#memo.size);
        break;
      case 0x67:
        this.#recall(this.#decimal());
        break;
      case 0x68:
        this.#recall(this.#byte());
        break;
      case 0x6a:
        this.#recall(this.#unsigned32());
        break;
      // ---- plain values ----
      case 0x4e:
        this.#push(null);
        break;
      case 0x88:
        this.#push(true);
        break;
      case 0x89:
        this.#push(false);
        break;
      case 0x49:
        this.#push(this.#integerLine());
        break;
      case 0x4c:
        this.#push(shortened(this.#line().replace(/L$/, '')));
        break;
      case 0x4a:
        this.#push(this.#take(4).readInt32LE(0));
        break;
      case 0x4b:
        this.#push(this.#byte());
        break;
      case 0x4d:
        this.#push(this.#take(2).readUInt16LE(0));
        break;
      case 0x8a:
        this.#push(signedNumber(this.#take(this.#byte())));
        break;
      case 0x8b:
        this.#push(signedNumber(this.#take(this.#length(4))));
        break;
      case 0x46:
        this.#push(Number(this.#line()));
        break;
      case 0x47:
        this.#push(this.#take(8).readDoubleBE(0));
        break;
      // ---- texts and bytes ----
      case 0x53:
        this.#push(unquoted(this.#line()));
        break;
      case 0x56:
        this.#push(this.#line());
        break;
      case 0x54:
        this.#push(this.#take(this.#length(4)).toString('latin1'));
        break;
      case 0x55:
        this.#push(this.#take(this.#byte()).toString('latin1'));
        break;
      case 0x58:
        this.#push(this.#take(this.#length(4)).toString('utf8'));
        break;
      case 0x8c:
        this.#push(this.#take(this.#byte()).toString('utf8'));
        break;
      case 0x8d:
        this.#push(this.#take(this.#length(8)).toString('utf8'));
        break;
      case 0x42:
        this.#push(this.#take(this.#length(4)));
        break;
      case 0x43:
        this.#push(this.#take(this.#byte()));
        break;
      case 0x8e:
      case 0x96:
        this.#push(this.#take(this.#length(8)));
        break;
      case 0x97:
        this.#push(new PickleObject(new PickleGlobal('pickle.buffer'), null));
        break;
      case 0x98:
        break;
      // ---- containers ----
      case 0x5d:
        this.#push(new PickleList());
        break;
      case 0x7d:
        this.#push(new PickleDict());
        break;
      case 0x29:
        this.#push(new PickleTuple([]));
        break;
      case 0x8f:
        this.#push(new PickleSet([]));
        break;
      case 0x6c: {
        const list = new PickleList();
        for (const item of this.#items()) list.items.push(item);
        this.#push(list);
        break;
      }
      case 0x64: {
        const dict = new PickleDict();
        pairs(this.#items(), dict.entries);
        this.#push(dict);
        break;
      }
      case 0x74:
        this.#push(new PickleTuple(this.#items()));
        break;
      case 0x85:
      case 0x86:
      case 0x87: {
        const items = Array.from({ length: code - 0x84 }, () => this.#pop()).reverse();
        this.#push(new PickleTuple(items));
        break;
      }
      case 0x91:
        this.#push(new PickleSet(this.#items()));
        break;
      case 0x61:
        this.#append([this.#pop()]);
        break;
      case 0x65:
      case 0x90:
        this.#append(this.#items());
        break;
      case 0x73: {
        const value = this.#pop();
        this.#set([this.#pop(), value]);
        break;
      }
      case 0x75:
        this.#set(this.#items());
        break;
      // ---- names, calls and references: noted, never done ----
      case 0x63: {
        const module = this.#line();
        this.#push(new PickleGlobal(`${module}.${this.#line()}`));
        break;
      }
      case 0x93: {
        const name = this.#pop();
        this.#push(new PickleGlobal(`${String(this.#pop())}.${String(name)}`));
        break;
      }
      case 0x69: {
        const module = this.#line();
        const global = new PickleGlobal(`${module}.${this.#line()}`);
        this.#push(new PickleObject(global, new PickleTuple(this.#items())));
        break;
      }
      case 0x6f: {
        const [callable, ...args] = this.#items();
        this.#push(new PickleObject(callable ?? null, new PickleTuple(args)));
        break;
      }
      case 0x52:
      case 0x81: {
        const args = this.#pop();
        this.#push(made(this.#pop(), args));
        break;
      }
      case 0x92: {
        const named = this.#pop();
        const args = this.#pop();
        const object = new PickleObject(this.#pop(), args);
        if (named instanceof PickleDict) object.entries.push(...named.entries);
        this.#push(object);
        break;
      }
      case 0x62: {
        const state = this.#pop();
        const target = this.#top();
        if (target instanceof PickleObject || target instanceof PickleDict) target.state = state;
        break;
      }
      case 0x50:
        this.#push(new PicklePersistent(this.#line()));
        break;
      case 0x51:
        this.#push(new PicklePersistent(this.#pop()));
        break;
      case 0x82:
        this.#push(new PickleGlobal(`copyreg.extension${this.#byte()}`));
        break;
      case 0x83:
        this.#push(new PickleGlobal(`copyreg.extension${this.#take(2).readUInt16LE(0)}`));
        break;
      case 0x84:
        this.#push(new PickleGlobal(`copyreg.extension${this.#unsigned32()}`));
        break;
      default:
        throw new FormatError(`a pickle has no operation ${code}`);
    }
  }

  // ---- the stack ----

  #push(slot: Slot): void {
    if (typeof slot === 'object' && slot !== null && ++this.#objects > MAX_OBJECTS)
      throw new FormatError('the pickle has too many objects');
    this.#stack.push(slot);
  }

  #pop(): PickleValue {
    const slot = this.#stack.pop();
    if (slot === undefined || slot === MARK) throw new FormatError('the pickle takes what is not there');
    return slot as PickleValue;
  }

  #top(): PickleValue {
    const slot = this.#stack.at(-1);
    if (slot === undefined || slot === MARK) throw new FormatError('the pickle takes what is not there');
    return slot as PickleValue;
  }

  /** What lies above the newest mark; both are taken away. */
  #items(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw new FormatError('the pickle has no mark');
    const items = this.#stack.slice(mark + 1) as PickleValue[];
    this.#stack.length = mark;
    return items;
  }

  #append(items: PickleValue[]): void {
    const target = this.#top();
    if (!(target instanceof PickleList || target instanceof PickleSet || target instanceof PickleObject)) return;
    for (const item of items) target.items.push(item);
  }

  #set(items: PickleValue[]): void {
    const target = this.#top();
    if (target instanceof PickleDict || target instanceof PickleObject) pairs(items, target.entries);
  }

  #remember(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw new FormatError('the pickle refers to what is not there');
    this.#push(value);
  }

  // ---- the bytes ----

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new FormatError('the pickle breaks off');
    return byte;
  }

  #skip(count: number): void {
    this.#take(count);
  }

  /** A part of the input itself: no copy, whatever length it claims. */
  #take(count: number): Buffer {
    if (count > this.#bytes.length - this.#at) throw new FormatError('the pickle breaks off');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #unsigned32(): number {
    return this.#take(4).readUInt32LE(0);
  }

  #length(bytes: 4 | 8): number {
    const length = bytes === 4 ? this.#unsigned32() : Number(this.#take(8).readBigUInt64LE(0));
    if (!Number.isSafeInteger(length)) throw new FormatError('the pickle claims an impossible length');
    return length;
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) throw new FormatError('the pickle breaks off');
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text.replace(/\r$/, '');
  }

  #decimal(): number {
    const number = Number(this.#line());
    if (!Number.isSafeInteger(number) || number < 0) throw new FormatError('the pickle has a bad index');
    return number;
  }

  #integerLine(): PickleValue {
    const line = this.#line();
    if (line === '00') return false;
    return line === '01' ? true : shortened(line);
  }
}

/** Containers are what they are; whatever else is called stays a call that was not made. */
function made(callable: PickleValue, args: PickleValue): PickleValue {
  if (callable instanceof PickleGlobal && args instanceof PickleTuple) {
    const [first] = args.items;
    if (DICTS.has(callable.name) && (args.items.length === 0 || callable.name === 'collections.defaultdict'))
      return new PickleDict();
    if (SETS.has(callable.name) && (first === undefined || first instanceof PickleList || first instanceof PickleTuple))
      return new PickleSet(first ? [...first.items] : []);
    // Bytes under protocol 2.
    if (callable.name === '_codecs.encode' && typeof first === 'string') return Buffer.from(first, 'latin1');
  }
  return new PickleObject(callable, args);
}

function pairs(items: PickleValue[], entries: [PickleValue, PickleValue][]): void {
  for (let i = 0; i + 1 < items.length; i += 2) entries.push([items[i]!, items[i + 1]!]);
}

function shortened(digits: string): number | bigint {
  if (digits.length > MAX_NUMBER_BYTES || !/^[+-]?\d+$/.test(digits.trim()))
    throw new FormatError('the pickle has a bad number');
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : BigInt(digits.trim().replace(/^\+/, ''));
}

/** Little-endian, two's complement. */
function signedNumber(bytes: Buffer): number | bigint {
  if (bytes.length > MAX_NUMBER_BYTES) throw new FormatError('the pickle has a number of absurd length');
  if (bytes.length === 0) return 0;
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  const signed = BigInt.asIntN(bytes.length * 8, value);
  const number = Number(signed);
  return Number.isSafeInteger(number) ? number : signed;
}

function unquoted(text: string): string {
  const quote = text[0];
  if ((quote !== "'" && quote !== '"') || !text.endsWith(quote)) throw new FormatError('the pickle has a bad text');
  return text.slice(1, -1);
}
