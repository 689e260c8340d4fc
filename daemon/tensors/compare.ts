/** Compares two checkpoints tensor by tensor. Reads tensors that are not known to be equal once, in pieces. */

import { elementBytes } from '../../formats/dtypes.ts';
import { toNumbers } from '../../formats/floats.ts';
import { shortName } from '../../formats/short-name.ts';
import { countOf, isDense } from '../../formats/strides.ts';
import type { TensorDiff, TensorNumbers, TensorPart, WeightsDiff } from '../../protocol/diff.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Content } from './content.ts';
import { Difference } from './difference.ts';
import { type NameMapping, pairNames, partOf } from './names.ts';
import { expectAll, identityOf, readRows, readStored, type StoredTensor } from './stored-tensors.ts';

/** Limits that keep an answer within a message. */
const MAX_TENSORS = 1_000;
const MAX_TENSOR_CHARACTERS = 600_000;
const MAX_NAMES = 200;
const MAX_ERROR_NAMES = 5;
const PARTS: readonly TensorPart[] = ['weights', 'optimizer', 'other'];

export function compareContents(
  first: Content,
  second: Content,
  mapping: readonly NameMapping[],
  progress: (doneBytes: number, totalBytes: number) => void,
): Omit<WeightsDiff, 'sides'> {
  const sides = [first.tensors, second.tensors] as const;
  const [ours, theirs] = sides;
  const { pairs, only, notes } = pairNames(
    ours.map(({ name }) => name),
    theirs.map(({ name }) => name),
    mapping,
  );
  if (pairs.length === 0) throw nothingInCommon(first, second);
  const result = new Result();
  const todo: { a: StoredTensor; b: StoredTensor }[] = [];
  for (const [i, j] of pairs) {
    const [a, b] = [ours[i]!, theirs[j]!];
    // Tensors that are tied on both sides are compared under the name that they are tied to.
    if (a.tiedTo !== null && b.tiedTo !== null) continue;
    if (a.shape.join() !== b.shape.join()) result.add(a, b, null);
    else if (!isReadable(a) || !isReadable(b)) result.unreadable(a, b);
    else if (isKnownEqual(a, b)) result.equal(a, true);
    else todo.push({ a, b });
  }
  expectAll(todo.map(({ a }) => a));
  expectAll(todo.map(({ b }) => b));
  const total = todo.reduce((sum, { a, b }) => sum + a.bytes! + b.bytes!, 0);
  let done = 0;
  for (const { a, b } of todo) {
    const difference = differenceOf(a, b, (bytes) => progress(done + bytes, total));
    done += a.bytes! + b.bytes!;
    if (difference === null) result.unreadable(a, b);
    else if (difference.changed === 0 && a.dtype === b.dtype) result.equal(a, false);
    else result.add(a, b, difference);
  }
  const unpaired = only.map((indices, side) => ({
    names: indices.slice(0, MAX_NAMES).map((i) => shortName(sides[side]![i]!.name)),
    count: indices.length,
  }));
  return {
    ...result.summary(),
    equal: result.allEqual && unpaired.every(({ count }) => count === 0),
    only: unpaired,
    notes: [...first.notes, ...second.notes, ...notes],
    readBytes: done,
  };
}

function nothingInCommon(...contents: [Content, Content]): TrainstashError {
  const names = contents.map(({ tensors }) => tensors.slice(0, MAX_ERROR_NAMES).map(({ name }) => shortName(name)));
  const texts = contents.map(({ notes }, side) =>
    names[side]!.length > 0
      ? `has ${names[side]!.join(', ')}${names[side]!.length < contents[side]!.tensors.length ? ', …' : ''}`
      : `has no tensors${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`,
  );
  return new TrainstashError(
    'nothingInCommon',
    `The two checkpoints have no tensor in common: the first ${texts[0]}; the second ${texts[1]}. If only the names differ, map them: --map OLD=NEW. Nothing was changed.`,
    { names: names as [string[], string[]] },
  );
}

/** Limit on elements: a view may repeat a tensor's memory more often than could be read in any time. */
const MAX_ELEMENTS = 2 ** 36;

function isReadable({ dtype, shape, place }: StoredTensor): boolean {
  return place !== null && elementBytes(dtype) !== null && countOf(shape) <= MAX_ELEMENTS;
}

function isKnownEqual(a: StoredTensor, b: StoredTensor): boolean {
  if (a.dtype !== b.dtype || `${a.stride}` !== `${b.stride}`) return false;
  const identity = identityOf(a);
  return identity !== null && identity === identityOf(b);
}

/** Compares two tensors; null: their elements are not numbers. */
function differenceOf(a: StoredTensor, b: StoredTensor, progress: (bytes: number) => void): Difference | null {
  // Memory order is faster, and gives the same result where both sides have the same one.
  const asStored = `${a.stride}` === `${b.stride}` && isDense(a.shape, a.stride);
  const read = asStored ? readStored : readRows;
  const [left, right] = [new Elements(a.dtype, read(a)), new Elements(b.dtype, read(b))];
  const difference = new Difference();
  for (;;) {
    const count = Math.min(left.available(), right.available());
    if (count === 0) break;
    const [x, y] = [left.take(count), right.take(count)];
    if (x === null || y === null) return null;
    difference.add(x, y);
    progress(difference.elements * (elementBytes(a.dtype)! + elementBytes(b.dtype)!));
  }
  if (asStored && a.stride !== null && difference.largestAt >= 0)
    difference.largestAt = rowOrder(difference.largestAt, a.shape, a.stride);
  return difference;
}

/** Cursor over pieces of any size, which takes pieces of another size. */
class Elements {
  readonly #dtype: string;
  readonly #size: number;
  readonly #pieces: Iterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(dtype: string, pieces: Iterable<Uint8Array>) {
    this.#dtype = dtype;
    this.#size = elementBytes(dtype)!;
    this.#pieces = pieces[Symbol.iterator]();
  }

  /** Returns the number of elements in the current piece; 0: there are no more. */
  available(): number {
    while (this.#at === this.#piece.length) {
      const next = this.#pieces.next();
      if (next.done) return 0;
      this.#piece = next.value;
      this.#at = 0;
    }
    return (this.#piece.length - this.#at) / this.#size;
  }

  take(count: number) {
    const bytes = this.#piece.subarray(this.#at, this.#at + count * this.#size);
    this.#at += bytes.length;
    return toNumbers(this.#dtype, bytes);
  }
}

/** Converts an index in memory order to one in row order, for the strides of a dense tensor. */
function rowOrder(stored: number, shape: readonly number[], stride: readonly number[]): number {
  const place = positionOf(stored, shape, stride);
  return place.reduce((index, at, i) => index * shape[i]! + at, 0);
}

function positionOf(stored: number, shape: readonly number[], stride: readonly number[]): number[] {
  return shape.map((size, i) => (size === 1 ? 0 : Math.floor(stored / stride[i]!) % size));
}

function indexOf(at: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  let rest = at;
  for (let i = shape.length - 1; i >= 0; i--) {
    index[i] = rest % shape[i]!;
    rest = Math.floor(rest / shape[i]!);
  }
  return index;
}

class Result {
  allEqual = true;
  readonly #counts = { equal: 0, equalUnread: 0, changed: 0, reshaped: 0, unreadable: 0 };
  readonly #tensors: TensorDiff[] = [];
  readonly #totals = new Map(
    PARTS.map((part) => [part, { elements: 0, changed: 0, squares: 0, squaredDifference: 0, compared: 0 }]),
  );

  equal({ name, shape }: StoredTensor, unread: boolean): void {
    this.#counts.equal++;
    if (unread) this.#counts.equalUnread++;
    this.#totals.get(partOf(name))!.elements += shape.reduce((a, b) => a * b, 1);
  }

  unreadable(a: StoredTensor, b: StoredTensor): void {
    this.allEqual = false;
    this.#counts.unreadable++;
    this.#tensors.push(describe(a, b, null));
  }

  /** Adds a pair of tensors; `difference` null: their shapes differ. */
  add(a: StoredTensor, b: StoredTensor, difference: Difference | null): void {
    this.allEqual = false;
    if (difference === null) this.#counts.reshaped++;
    else {
      this.#counts.changed++;
      const total = this.#totals.get(partOf(a.name))!;
      total.elements += difference.elements;
      total.changed += difference.changed;
      total.squares += difference.squares[0];
      total.squaredDifference += difference.squaredDifference;
      total.compared++;
    }
    this.#tensors.push(describe(a, b, difference));
  }

  summary(): Pick<WeightsDiff, 'counts' | 'totals' | 'tensors'> {
    const weight = ({ numbers }: TensorDiff) =>
      numbers === null ? Number.POSITIVE_INFINITY : (numbers.relative ?? Number.MAX_VALUE);
    this.#tensors.sort((a, b) => {
      const [x, y] = [weight(a), weight(b)];
      return PARTS.indexOf(a.part) - PARTS.indexOf(b.part) || (x === y ? 0 : y - x);
    });
    return {
      counts: this.#counts,
      totals: PARTS.flatMap((part) => {
        const { elements, changed, squares, squaredDifference } = this.#totals.get(part)!;
        const norm = Math.sqrt(squaredDifference);
        const relative = squares > 0 ? norm / Math.sqrt(squares) : null;
        return elements > 0 ? [{ part, elements, changed, norm, relative }] : [];
      }),
      tensors: this.#tensors.slice(0, this.#fitting()),
    };
  }

  #fitting(): number {
    let characters = 0;
    const end = this.#tensors.findIndex((tensor, i) => {
      characters += JSON.stringify(tensor).length;
      return i >= MAX_TENSORS || characters > MAX_TENSOR_CHARACTERS;
    });
    return end < 0 ? this.#tensors.length : end;
  }
}

function describe(a: StoredTensor, b: StoredTensor, difference: Difference | null): TensorDiff {
  return {
    name: shortName(a.name),
    otherName: a.name === b.name ? null : shortName(b.name),
    part: partOf(a.name),
    dtypes: [a.dtype, b.dtype],
    shapes: [a.shape, b.shape],
    numbers: difference && numbersOf(difference, a.shape),
  };
}

function numbersOf(difference: Difference, shape: readonly number[]): TensorNumbers {
  const { elements, changed, squares, product, squaredDifference, largest, largestAt, nan, infinite } = difference;
  const norms = [Math.sqrt(squares[0]), Math.sqrt(squares[1]), Math.sqrt(squaredDifference)] as const;
  return {
    elements,
    changed,
    norms: [...norms],
    relative: norms[0] > 0 ? norms[2] / norms[0] : null,
    cosine: norms[0] > 0 && norms[1] > 0 ? Math.max(-1, Math.min(1, product / (norms[0] * norms[1]))) : null,
    largest: largestAt < 0 ? null : { at: indexOf(largestAt, shape), change: largest },
    nan,
    infinite,
    histogram: difference.histogram(),
  };
}
