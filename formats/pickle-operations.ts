/** Opcodes of pickles, with the step of each. Source: Lib/pickletools.py of CPython, `opcodes`. */
import { FormatError } from './format-error.ts';
import type { Machine } from './pickle.ts';
import { PickleGlobal } from './pickle-values.ts';

type Operation = (machine: Machine) => void;

const TABLE: [code: number, name: string, step: Operation][] = [
  // Frames and the protocol: nothing to do.
  [0x80, 'PROTO', ({ bytes }) => bytes.skip(1)],
  [0x95, 'FRAME', ({ bytes }) => bytes.skip(8)],

  // The stack.
  [0x28, 'MARK', (machine) => machine.pushMark()],
  [0x30, 'POP', (machine) => machine.drop()],
  [0x31, 'POP_MARK', (machine) => void machine.items()],
  [0x32, 'DUP', (machine) => machine.push(machine.top())],

  // The memo.
  [0x70, 'PUT', (machine) => machine.remember(machine.indexLine())],
  [0x71, 'BINPUT', (machine) => machine.remember(machine.bytes.byte())],
  [0x72, 'LONG_BINPUT', (machine) => machine.remember(machine.bytes.uint32())],
  [0x94, 'MEMOIZE', (machine) => machine.rememberNext()],
  [0x67, 'GET', (machine) => machine.recall(machine.indexLine())],
  [0x68, 'BINGET', (machine) => machine.recall(machine.bytes.byte())],
  [0x6a, 'LONG_BINGET', (machine) => machine.recall(machine.bytes.uint32())],

  // Plain values.
  [0x4e, 'NONE', (machine) => machine.push(null)],
  [0x88, 'NEWTRUE', (machine) => machine.push(true)],
  [0x89, 'NEWFALSE', (machine) => machine.push(false)],
  [0x49, 'INT', (machine) => machine.pushDecimalLine(false)],
  [0x4c, 'LONG', (machine) => machine.pushDecimalLine(true)],
  [0x4a, 'BININT', (machine) => machine.push(machine.bytes.int32())],
  [0x4b, 'BININT1', (machine) => machine.push(machine.bytes.byte())],
  [0x4d, 'BININT2', (machine) => machine.push(machine.bytes.uint16())],
  [0x8a, 'LONG1', (machine) => machine.pushInteger(machine.bytes.byte())],
  [0x8b, 'LONG4', (machine) => machine.pushInteger(machine.bytes.uint32())],
  [0x46, 'FLOAT', (machine) => machine.pushDoubleLine()],
  [0x47, 'BINFLOAT', (machine) => machine.pushDouble(machine.bytes.doubleBigEndian())],

  // Texts and bytes.
  [0x53, 'STRING', (machine) => machine.pushString(unquoted(machine.line()))],
  [0x56, 'UNICODE', (machine) => machine.pushString(unescaped(machine.line()))],
  [0x54, 'BINSTRING', (machine) => machine.pushText(machine.bytes.uint32(), 'latin1')],
  [0x55, 'SHORT_BINSTRING', (machine) => machine.pushText(machine.bytes.byte(), 'latin1')],
  [0x58, 'BINUNICODE', (machine) => machine.pushText(machine.bytes.uint32(), 'utf8')],
  [0x8c, 'SHORT_BINUNICODE', (machine) => machine.pushText(machine.bytes.byte(), 'utf8')],
  [0x8d, 'BINUNICODE8', (machine) => machine.pushText(machine.bytes.uint64(), 'utf8')],
  [0x42, 'BINBYTES', (machine) => machine.pushBytes(machine.bytes.uint32())],
  [0x43, 'SHORT_BINBYTES', (machine) => machine.pushBytes(machine.bytes.byte())],
  [0x8e, 'BINBYTES8', (machine) => machine.pushBytes(machine.bytes.uint64())],
  [0x96, 'BYTEARRAY8', (machine) => machine.pushBytes(machine.bytes.uint64())],
  [0x97, 'NEXT_BUFFER', (machine) => machine.pushObject(new PickleGlobal('pickle.buffer'), null)],
  [0x98, 'READONLY_BUFFER', () => {}],

  // Containers.
  [0x5d, 'EMPTY_LIST', (machine) => machine.pushList([])],
  [0x7d, 'EMPTY_DICT', (machine) => machine.pushDict([])],
  [0x29, 'EMPTY_TUPLE', (machine) => machine.pushTuple([])],
  [0x8f, 'EMPTY_SET', (machine) => machine.pushSet([])],
  [0x6c, 'LIST', (machine) => machine.pushList(machine.items())],
  [0x64, 'DICT', (machine) => machine.pushDict(machine.items())],
  [0x74, 'TUPLE', (machine) => machine.pushTuple(machine.items())],
  [0x85, 'TUPLE1', (machine) => machine.pushTuple([machine.pop()])],
  [0x86, 'TUPLE2', (machine) => machine.pushTuple(popped(machine, 2))],
  [0x87, 'TUPLE3', (machine) => machine.pushTuple(popped(machine, 3))],
  [0x91, 'FROZENSET', (machine) => machine.pushSet(machine.items())],
  [0x61, 'APPEND', (machine) => machine.append([machine.pop()])],
  [0x65, 'APPENDS', (machine) => machine.append(machine.items())],
  [0x90, 'ADDITEMS', (machine) => machine.append(machine.items())],
  [0x73, 'SETITEM', (machine) => machine.set(popped(machine, 2))],
  [0x75, 'SETITEMS', (machine) => machine.set(machine.items())],

  // Names, calls and references: recorded, never executed.
  [0x63, 'GLOBAL', (machine) => machine.pushGlobal(machine.line(), machine.line())],
  [0x93, 'STACK_GLOBAL', (machine) => pushNamed(machine)],
  [0x69, 'INST', (machine) => pushInstance(machine)],
  [0x6f, 'OBJ', (machine) => pushCalled(machine)],
  [0x52, 'REDUCE', (machine) => reduceTop(machine)],
  [0x81, 'NEWOBJ', (machine) => reduceTop(machine)],
  [0x92, 'NEWOBJ_EX', (machine) => pushWithNames(machine)],
  [0x62, 'BUILD', (machine) => machine.build(machine.pop())],
  [0x50, 'PERSID', (machine) => machine.pushPersistent(machine.line())],
  [0x51, 'BINPERSID', (machine) => machine.pushPersistent(machine.pop())],
  [0x82, 'EXT1', (machine) => machine.pushGlobal('copyreg', `extension${machine.bytes.byte()}`)],
  [0x83, 'EXT2', (machine) => machine.pushGlobal('copyreg', `extension${machine.bytes.uint16()}`)],
  [0x84, 'EXT4', (machine) => machine.pushGlobal('copyreg', `extension${machine.bytes.uint32()}`)],
];

/** Steps by opcode; a missing one is no opcode. The machine handles STOP itself. */
export const OPERATIONS: readonly (Operation | undefined)[] = byCode();

function byCode(): (Operation | undefined)[] {
  const steps = new Array<Operation | undefined>(256).fill(undefined);
  for (const [code, , step] of TABLE) steps[code] = step;
  return steps;
}

function popped(machine: Machine, count: 2 | 3) {
  const third = count === 3 ? machine.pop() : null;
  const second = machine.pop();
  const first = machine.pop();
  return count === 3 ? [first, second, third] : [first, second];
}

function pushNamed(machine: Machine): void {
  const name = machine.pop();
  machine.pushGlobal(machine.pop(), name);
}

function pushInstance(machine: Machine): void {
  machine.pushGlobal(machine.line(), machine.line());
  const global = machine.pop();
  machine.pushTuple(machine.items());
  const args = machine.pop();
  machine.pushObject(global, args);
}

function pushCalled(machine: Machine): void {
  const [callable, ...args] = machine.items();
  machine.pushTuple(args);
  machine.pushObject(callable ?? null, machine.pop());
}

function reduceTop(machine: Machine): void {
  const args = machine.pop();
  machine.reduce(machine.pop(), args);
}

function pushWithNames(machine: Machine): void {
  const named = machine.pop();
  const args = machine.pop();
  machine.pushObject(machine.pop(), args, named);
}

function unquoted(text: string): string {
  const quote = text[0];
  if (text.length < 2 || (quote !== "'" && quote !== '"') || !text.endsWith(quote))
    throw new FormatError('the pickle has a bad text');
  return text.slice(1, -1);
}

/** Decodes Python's raw-unicode-escape for characters outside Latin-1. */
function unescaped(text: string): string {
  return text.replaceAll(/\\u([0-9a-fA-F]{4})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
}
