/** Values that a pickle describes. Nothing is ever called: a call becomes a node with its function and arguments. */

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
  | PicklePersistent
  | PickleData
  | PickleLong;

const NOTHING: never[] = [];

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

/** Class or function, by name: never looked up. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** Result of a call that is not made. */
export class PickleObject {
  readonly callable: PickleValue;
  readonly args: PickleValue;
  state: PickleValue = null;
  /** Most objects have neither, so an array is only made on demand. */
  items: PickleValue[] = NOTHING;
  entries: [PickleValue, PickleValue][] = NOTHING;
  constructor(callable: PickleValue, args: PickleValue) {
    this.callable = callable;
    this.args = args;
  }

  ownItems(): PickleValue[] {
    if (this.items === NOTHING) this.items = [];
    return this.items;
  }

  ownEntries(): [PickleValue, PickleValue][] {
    if (this.entries === NOTHING) this.entries = [];
    return this.entries;
  }
}

/** Reference to something outside of the pickle: a storage of torch. */
export class PicklePersistent {
  readonly id: PickleValue;
  constructor(id: PickleValue) {
    this.id = id;
  }
}

/** Position of long bytes or a long text, which may be larger than memory. */
export class PickleData {
  /** Offset in the pickle's source. */
  readonly offset: number;
  readonly length: number;
  /** `latin1`: bytes that were written as a UTF-8 text, one character for each byte, as protocol 2 does. */
  readonly kind: 'bytes' | 'text' | 'latin1';
  /** Beginning of a text. */
  readonly start: string;
  constructor(offset: number, length: number, kind: 'bytes' | 'text' | 'latin1', start = '') {
    this.offset = offset;
    this.length = length;
    this.kind = kind;
    this.start = start;
  }
}

/** First digits of an integer that is too long to be read. */
export class PickleLong {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
