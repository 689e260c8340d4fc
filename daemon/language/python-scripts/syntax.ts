/** Pieces of a script's text, with the same rules as `python/src/trainstash/syntax.py`: what a statement binds, whether a call shows something. */
import { type Key, keyOf, lastOf, targetsOf } from './flow.ts';
import { childrenOf, type Node, walk } from './nodes.ts';

const CLOCKS = new Set('time perf_counter monotonic process_time now perf_counter_ns time_ns monotonic_ns'.split(' '));
/** Calls that show something and compute nothing. */
const SHOW = new Set('print info debug warning error log write set_postfix set_postfix_str set_description'.split(' '));
const BARS = new Set(['tqdm', 'trange', 'track', 'progress']);
const PACKAGES = new Set(['torch', 'torch.utils', 'itertools', 'np', 'numpy']);

/** Walks a scope without the functions inside of it. */
export function* walkOwn(node: Node): Generator<Node> {
  const pending: Node[] = [node];
  for (let current = pending.pop(); current; current = pending.pop()) {
    yield current;
    if (current !== node && ['FunctionDef', 'ClassDef', 'Lambda'].includes(current.kind)) continue;
    // One by one: a list may have more items than a call can have arguments.
    for (const child of childrenOf(current)) pending.push(child);
  }
}

export function* blocksOf(node: Node | undefined): Generator<Node[]> {
  for (const field of ['body', 'orelse', 'finalbody'] as const) {
    const block = node && (node as { [name in typeof field]?: Node[] | Node })[field];
    if (Array.isArray(block)) yield block;
  }
}

export function isCallOf(node: Node, methods: readonly string[], runNames: ReadonlySet<Key>): boolean {
  if (node.kind !== 'Call' || node.func.kind !== 'Attribute' || !methods.includes(node.func.attr)) return false;
  const key = keyOf(node.func.value);
  return key !== null && runNames.has(key);
}

export function asks(loop: Node, methods: readonly string[], runNames: ReadonlySet<Key>): boolean {
  return loop.kind === 'For' && [...walk(loop.iter)].some((node) => isCallOf(node, methods, runNames));
}

export function hasSteps(loop: Node, runNames: ReadonlySet<Key>): boolean {
  return [...walk(loop)].some((node) => isCallOf(node, ['step'], runNames));
}

export function isPackage(key: Key): boolean {
  return PACKAGES.has(key);
}

export function isInit(node: Node): boolean {
  return node.kind === 'Call' && ['trainstash.init', 'init'].includes(keyOf(node.func) ?? '');
}

export function boundBy(statement: Node): Key[] {
  if (statement.kind === 'Assign') return statement.targets.flatMap(targetsOf);
  return statement.kind === 'AnnAssign' || statement.kind === 'AugAssign' ? targetsOf(statement.target) : [];
}

/** Returns the value that a statement computes, as Python's nodes have it in `value`. */
export function valueIn(statement: Node): Node | null {
  switch (statement.kind) {
    case 'Assign':
    case 'AnnAssign':
    case 'AugAssign':
    case 'Expr':
      return statement.value;
    default:
      return null;
  }
}

/** Returns the last part of a called name; empty for what is no call of a name. */
export function calledName(node: Node): string {
  return node.kind === 'Call' ? lastOf(keyOf(node.func) ?? '') : '';
}

export function isClock(value: Node): boolean {
  return CLOCKS.has(calledName(value));
}

export function isBar(value: Node): boolean {
  return BARS.has(calledName(value));
}

/** Tells whether a statement shows something, and computes nothing that is used. */
export function isShown(statement: Node): boolean {
  if (statement.kind === 'If') return [...statement.body, ...statement.orelse].every(isShown);
  return statement.kind === 'Pass' || (statement.kind === 'Expr' && SHOW.has(calledName(statement.value)));
}

/** Lists names that are given beside the batches, and whether they count them. */
export function* beside(
  iterated: Node,
  target: Node,
  isWrapped: (node: Node) => boolean,
): Generator<[name: Key, counts: boolean]> {
  if (iterated.kind !== 'Call' || iterated.args.length === 0 || isWrapped(iterated)) return;
  const name = calledName(iterated);
  const parts = target.kind === 'Tuple' || target.kind === 'List' ? target.elts : [];
  if (name === 'enumerate' && parts.length === 2) {
    for (const key of targetsOf(parts[0]!)) yield [key, true];
    yield* beside(iterated.args[0]!, parts[1]!, isWrapped);
  } else if (name === 'zip' && parts.length === iterated.args.length) {
    for (const [index, argument] of iterated.args.entries()) {
      const part = parts[index]!;
      if ([...walk(argument)].some(isWrapped)) yield* beside(argument, part, isWrapped);
      else
        for (const key of targetsOf(part))
          yield [key, argument.kind === 'Call' && (keyOf(argument.func) ?? '').endsWith('count')];
    }
  } else if (name !== 'enumerate' && name !== 'zip') {
    // A progress bar and the like hand on what they are given.
    yield* beside(iterated.args[0]!, target, isWrapped);
  }
}

/** Returns `k` where a counter is read in `(i + 1) % k`: it comes out right after a multiple of `k` batches. */
export function modulus(start: Node, parents: ReadonlyMap<Node, Node>, text: string): string | null {
  let node = start;
  let parent = parents.get(node);
  if (parent?.kind === 'BinOp' && (parent.op === '+' || parent.op === '-')) {
    const other = parent.left === node ? parent.right : parent.left;
    if (other.kind !== 'Constant') return null;
    node = parent;
    parent = parents.get(parent);
  }
  return parent?.kind === 'BinOp' && parent.op === '%' && parent.left === node
    ? text.slice(parent.right.from, parent.right.to)
    : null;
}
