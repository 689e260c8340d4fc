/**
 * The reads and writes of statements, in the order in which they run: names, and attributes of names such as `self.total`. The same
 * rules as in `python/src/trainstash/flow.py`; one table of cases is for both (`python/tests/loop_variables`).
 */
import { Bound } from './bound.ts';
import { childrenOf, type Node, type Try, walk } from './nodes.ts';

/** A name, or a name with attributes. */
export type Key = string;

/** Methods that change a list, dict, set, deque or meter. */
const MUTATORS = new Set(
  'add append appendleft clear discard extend extendleft insert pop popitem popleft remove reverse setdefault sort update'.split(
    ' ',
  ),
);

/** Functions that only compute: a value that is given to one, and to nothing else, is not read by it. */
const COMPUTES = new Set('abs bool dict float int len list max min pow round set sorted str sum tuple'.split(' '));
const COMPUTING_MODULES = new Set('F jax jnp keras math mx nn np numpy ops paddle statistics tf torch'.split(' '));

/** Returns `a.b` for the expression `a.b`; null for what is no plain name. */
export function keyOf(node: Node): Key | null {
  if (node.kind === 'Name') return node.id;
  if (node.kind !== 'Attribute') return null;
  const inner = keyOf(node.value);
  return inner === null ? null : `${inner}.${node.attr}`;
}

export function prefixesOf(key: Key): Key[] {
  const parts = key.split('.');
  return parts.map((_, index) => parts.slice(0, index + 1).join('.'));
}

/** Returns the last part of a key. */
export function lastOf(key: Key): string {
  return key.slice(key.lastIndexOf('.') + 1);
}

/** Lists the names and attributes that a target binds. */
export function targetsOf(node: Node): Key[] {
  if (node.kind === 'Tuple' || node.kind === 'List') return node.elts.flatMap(targetsOf);
  if (node.kind === 'Starred') return targetsOf(node.value);
  const key = keyOf(node);
  return key === null ? [] : [key];
}

export interface Reads {
  keys: [key: Key, line: number][];
  /** Objects whose methods are called, the methods, and the lines. */
  calls: [key: Key, method: string, line: number][];
  /** Names bound by `:=`. */
  walrus: [key: Key, line: number][];
  /** Names that are given to functions which may do anything with them. */
  given: Set<Key>;
}

const known = new WeakMap<Node, Reads>();

/** Collects what one expression reads, calls and binds. Functions inside of it are taken to be called. */
export function lookedAt(node: Node): Reads {
  const before = known.get(node);
  if (before) return before;
  const bound = new Set<string>();
  const found: Reads = { keys: [], calls: [], walrus: [], given: new Set() };
  for (const inside of walk(node)) {
    if (inside.kind === 'Name' || inside.kind === 'Attribute') {
      const key = inside.ctx === 'Load' ? keyOf(inside) : null;
      if (key !== null) found.keys.push([key, inside.line]);
    } else if (inside.kind === 'Call') {
      const key = inside.func.kind === 'Attribute' ? keyOf(inside.func.value) : null;
      if (key !== null && inside.func.kind === 'Attribute') found.calls.push([key, inside.func.attr, inside.line]);
      for (const given of givenTo(inside)) found.given.add(given);
    } else if (inside.kind === 'comprehension') for (const key of targetsOf(inside.target)) bound.add(key);
    else if (inside.kind === 'arg') bound.add(inside.arg);
    else if (inside.kind === 'NamedExpr') found.walrus.push([inside.target.id, inside.line]);
  }
  if (bound.size > 0) found.keys = found.keys.filter(([key]) => !bound.has(rootOf(key)));
  known.set(node, found);
  return found;
}

function givenTo(call: Extract<Node, { kind: 'Call' }>): Key[] {
  const name = keyOf(call.func) ?? '';
  if (COMPUTES.has(name) || (name.includes('.') && COMPUTING_MODULES.has(rootOf(name)))) return [];
  const parts = [...call.args, ...call.keywords.map((word) => word.value)];
  return parts.flatMap((part) => [...walk(part)]).flatMap((inside) => keyOf(inside) ?? []);
}

/** Lists the names that an expression reads, with the lines. */
export function readsIn(node: Node | null): Reads['keys'] {
  return node ? lookedAt(node).keys : [];
}

/** Keys that are surely bound; null: the end of the statements is not reached. */
export type Done = Bound | null;

/** One walk over statements that are run once. */
export class Flow {
  /** Keys read before they are surely bound here. */
  readonly exposed = new Map<Key, number>();
  /** Keys read by an assignment to themselves alone, before they are surely bound here. */
  readonly updated = new Map<Key, number>();
  /** All that is read, but for such assignments and for changes in place. */
  readonly read = new Map<Key, number>();
  readonly bound = new Map<Key, number>();
  /** Keys changed in place before they are surely bound here. */
  readonly mutated = new Map<Key, number>();
  /** Names that functions inside declare as not their own, and bind. */
  readonly declared = new Set<string>();

  /** Follows statements. Returns what is bound behind them, on top of what was before, which is left as it is. */
  run(statements: readonly Node[], before: Done, names: Iterable<Key> = []): Done {
    if (before === null) return null;
    const done = new Bound(before, names);
    for (const statement of statements) if (!this.#statement(statement, done)) return null;
    return done;
  }

  /** Takes in an expression that is computed. `own`: keys that it is assigned to. */
  use(node: Node | null, done: Bound, own: readonly Key[] = []): void {
    if (!node) return;
    const reads = lookedAt(node);
    const receivers = this.#calls(reads, done);
    for (const [key, line] of reads.keys) {
      if (own.includes(key) && !reads.given.has(key)) {
        if (!isDone(key, done)) first(this.updated, key, line);
        continue;
      }
      if (receivers.has(`${key}:${line}`)) continue;
      first(this.read, key, line);
      if (!isDone(key, done)) first(this.exposed, key, line);
    }
    for (const [name, line] of reads.walrus) this.#bind([name], line, done);
  }

  /** Notes changes in place; returns the reads that belong to them. */
  #calls({ calls }: Reads, done: Bound): Set<string> {
    const receivers = new Set<string>();
    for (const [key, method, line] of calls) {
      if (!MUTATORS.has(method) && !isInPlace(method)) continue;
      if (!isDone(key, done)) first(this.mutated, key, line);
      receivers.add(`${key}:${line}`).add(`${key}.${method}:${line}`);
    }
    return receivers;
  }

  #bind(keys: Iterable<Key>, line: number, done: Bound): void {
    for (const key of keys) {
      first(this.bound, key, line);
      done.add(key);
    }
  }

  /** Binds a target; an item of a container is a change in place. */
  #store(target: Node, done: Bound): void {
    for (const inside of walk(target)) {
      if (inside.kind !== 'Subscript') continue;
      const key = keyOf(inside.value);
      if (key !== null && !isDone(key, done)) first(this.mutated, key, inside.line);
      this.use(inside.slice, done);
    }
    this.#bind(targetsOf(target), target.line, done);
  }

  /** Follows one statement, and adds what it binds. Returns false if nothing behind it is reached. */
  #statement(node: Node, done: Bound): boolean {
    switch (node.kind) {
      case 'Assign':
      case 'AnnAssign': {
        const targets = node.kind === 'Assign' ? node.targets : [node.target];
        const own = targets.length === 1 ? targetsOf(targets[0]!) : [];
        this.use(node.value, done, own.length === 1 ? own : []);
        if (node.value) for (const target of targets) this.#store(target, done);
        return true;
      }
      case 'AugAssign':
        this.use(node.value, done);
        for (const key of targetsOf(node.target)) if (!isDone(key, done)) first(this.updated, key, node.line);
        this.#store(node.target, done);
        return true;
      case 'If':
        this.use(node.test, done);
        return joined(done, this.run(node.body, done), this.run(node.orelse, done));
      case 'For':
        this.use(node.iter, done);
        this.#store(node.target, done);
        // Loops are taken to run at least once: what they bind is read behind them everywhere.
        this.#through(node.body, done);
        this.#through(node.orelse, done);
        return true;
      case 'While':
        this.use(node.test, done);
        this.#through(node.body, done);
        this.#through(node.orelse, done);
        return true;
      case 'With':
        for (const { expression, variable } of node.items) {
          this.use(expression, done);
          if (variable) this.#store(variable, done);
        }
        return this.#through(node.body, done);
      case 'Try':
        return this.#try(node, done);
      case 'Match': {
        this.use(node.subject, done);
        // None of them may fit. A name that only some of them bind is not surely bound.
        for (const one of node.cases) this.run(one.body, done, one.names);
        return true;
      }
      case 'FunctionDef':
      case 'ClassDef':
        this.#define(node, done);
        return true;
      case 'Return':
      case 'Raise':
      case 'Break':
      case 'Continue':
        for (const part of node.parts) this.use(part, done);
        return false;
      case 'Import':
        this.#bind(
          node.names.map(({ name, as }) => rootOf(as ?? name)),
          node.line,
          done,
        );
        return true;
      default:
        for (const part of childrenOf(node)) this.use(part, done);
        return true;
    }
  }

  /** Follows a block, and adds what it binds. Returns false if its end is not reached. */
  #through(block: readonly Node[], done: Bound): boolean {
    const after = this.run(block, done);
    if (after) done.addAll(after);
    return after !== null;
  }

  #try(node: Try, done: Bound): boolean {
    const ways = [this.run(node.orelse, this.run(node.body, done))];
    for (const { name, body } of node.handlers) ways.push(this.run(body, done, name ? [name] : []));
    const isReached = joined(done, ...ways);
    const isLeft = !this.#through(node.finalbody, done);
    return isReached && !isLeft;
  }

  /** Takes in a definition: a function reads what is outside of it whenever it is called. */
  #define(node: Extract<Node, { name: string; body: Node[] }>, done: Bound): void {
    const { free, declared } = outside(node);
    for (const name of declared) this.declared.add(name);
    for (const [key, line] of free) first(this.read, key, line);
    this.#bind([node.name], node.line, done);
  }
}

/** Finds the names that a definition reads of the scopes around it, and those that it binds there. */
function outside(node: Node): { free: Map<Key, number>; declared: Set<string> } {
  const own = new Set<string>();
  const declared = new Set<string>();
  const reads = new Map<Key, number>();
  for (const inside of walk(node)) {
    if (inside.kind === 'Name') {
      if (inside.ctx === 'Store') own.add(inside.id);
      else first(reads, inside.id, inside.line);
    } else if (inside.kind === 'Attribute') {
      const key = keyOf(inside);
      if (key !== null) first(reads, key, inside.line);
    } else if (inside.kind === 'arg') own.add(inside.arg);
    else if (inside.kind === 'Global' || inside.kind === 'Nonlocal')
      for (const name of inside.names) declared.add(name);
  }
  const free = new Map([...reads].filter(([key]) => !own.has(rootOf(key)) || declared.has(rootOf(key))));
  return { free, declared };
}

export function rootOf(key: Key): string {
  const at = key.indexOf('.');
  return at < 0 ? key : key.slice(0, at);
}

function first(map: Map<Key, number>, key: Key, line: number): void {
  if (!map.has(key)) map.set(key, line);
}

function isDone(key: Key, done: Bound): boolean {
  return done.has(key) || (key.includes('.') && prefixesOf(key).some((prefix) => done.has(prefix)));
}

/** Tells whether a method of tensors changes them: its name ends with one underscore. */
function isInPlace(name: string): boolean {
  return name.endsWith('_') && !name.endsWith('__') && name !== 'requires_grad_';
}

/** Adds what all the ways behind a place have bound that come to an end. Returns false if none does. */
function joined(done: Bound, ...ways: readonly Done[]): boolean {
  const [first, ...others] = ways.filter((way) => way !== null);
  if (!first) return false;
  done.addCommon(first, others);
  return true;
}
