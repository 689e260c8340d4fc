/**
 * Variables of a script that start again on a resume, found in its text alone. The same rules as in
 * `python/src/trainstash/loop_variables.py`, which has the reasons; a table of cases holds both to the same answers.
 */
import { Bound } from './bound.ts';
import { type Done, Flow, type Key, keyOf, lastOf, prefixesOf, readsIn, rootOf, targetsOf } from './flow.ts';
import { childrenOf, isLoop, isStatement, type Loop, type Node, walk } from './nodes.ts';
import {
  asks,
  beside,
  blocksOf,
  boundBy,
  hasSteps,
  isBar,
  isCallOf,
  isClock,
  isInit,
  isPackage,
  isShown,
  modulus,
  valueIn,
  walkOwn,
} from './syntax.ts';

const LOADERS = ['batches', 'forever'];
/** Methods that tell that an object is the run. */
const OF_RUN = ['epochs', 'batches', 'forever', 'checkpoint'];

export interface StartsAgain {
  name: Key;
  /** Line in which it is set before the loop, or the loop's own. */
  line: number;
  /** Expressions of which the number of batches read so far may be a multiple; then the variable comes out right. */
  unless: string[];
  loop: Loop;
}

/** The names that a file gives to the run and to what keeps values for it, and the names that it tracks. */
export class Names {
  readonly run = new Set<Key>();
  readonly tracked = new Set<Key>();
  /** Names that an `import` gives, and those that `from … import` gives: modules, and whatever a module holds. */
  readonly modules = new Set<string>();
  readonly imported = new Set<string>();
  /** Names that a function binds outside of itself, by the function's name. */
  readonly declared = new Map<string, Set<string>>();
  /** The run itself, and results of `run.state`. */
  readonly own: Set<Key>;

  constructor(module: Node) {
    const states: [Node, Key[]][] = [];
    for (const node of walk(module)) {
      if (node.kind === 'Call') this.#call(node);
      else if (node.kind === 'Assign') {
        const keys = node.targets.flatMap(targetsOf);
        if (isInit(node.value)) for (const key of keys) this.run.add(key);
        else if (node.value.kind === 'Call') states.push([node.value, keys]);
      } else if (node.kind === 'Import') {
        for (const { name, as } of node.names)
          (node.module === null ? this.modules : this.imported).add(rootOf(as ?? name));
      } else if (node.kind === 'FunctionDef') {
        const names = node.body.flatMap((one) => (one.kind === 'Global' || one.kind === 'Nonlocal' ? one.names : []));
        if (names.length > 0)
          this.declared.set(node.name, new Set([...(this.declared.get(node.name) ?? []), ...names]));
      }
    }
    this.own = new Set(this.run);
    for (const [value, keys] of states)
      if (isCallOf(value, ['state'], this.run)) for (const key of keys) this.own.add(key);
  }

  #call(node: Extract<Node, { kind: 'Call' }>): void {
    const { func } = node;
    if (func.kind === 'Attribute') {
      const key = keyOf(func.value);
      if (key !== null && OF_RUN.includes(func.attr) && !isPackage(key)) this.run.add(key);
    }
    if (!isInit(node) && !(func.kind === 'Attribute' && func.attr === 'track')) return;
    for (const { arg, value } of node.keywords) {
      const key = keyOf(value);
      if (key !== null && arg !== 'params') this.tracked.add(key);
    }
  }
}

/** One function, or the module. */
export class Scope {
  readonly node: Node;
  readonly names: Names;
  readonly nodes: Node[];
  readonly parents = new Map<Node, Node>();
  readonly loops: Loop[];
  readonly #text: string;
  readonly #parameters: Set<string>;
  readonly #bindings = new Map<Key, Node[]>();

  constructor(node: Node, names: Names, text: string) {
    this.node = node;
    this.names = names;
    this.#text = text;
    this.nodes = [...walkOwn(node)];
    for (const parent of this.nodes) for (const child of childrenOf(parent)) this.parents.set(child, parent);
    this.loops = this.nodes.filter(isLoop).sort((a, b) => a.line - b.line || b.endLine - a.endLine);
    const args = node.kind === 'FunctionDef' || node.kind === 'Lambda' ? node.args : [];
    this.#parameters = new Set(args.flatMap((one) => (one.kind === 'arg' ? [one.arg] : [])));
    const statements = this.nodes.filter(isStatement).sort((a, b) => a.line - b.line);
    for (const statement of statements)
      for (const key of boundBy(statement)) this.#bindings.set(key, [...(this.#bindings.get(key) ?? []), statement]);
  }

  /** Names that are bound when the scope begins. */
  parameters(): Set<string> {
    return new Set(this.#parameters);
  }

  /** Tells whether a name is another scope's, or one that functions of this file bind from outside. */
  isDeclared(name: string): boolean {
    return (
      [...this.names.declared.values()].some((names) => names.has(name)) ||
      this.nodes.some((node) => (node.kind === 'Global' || node.kind === 'Nonlocal') && node.names.includes(name))
    );
  }

  bindingsOf(key: Key): readonly Node[] {
    return this.#bindings.get(key) ?? [];
  }

  isOverEpochs(loop: Loop): boolean {
    return asks(loop, ['epochs'], this.names.run);
  }

  isOverBatches(loop: Loop): boolean {
    return asks(loop, LOADERS, this.names.run) || this.#iteratesWrapped(loop);
  }

  /** Finds what is lost when the loop is entered anew in the middle of its rounds. */
  startsAgain(loop: Loop): StartsAgain[] {
    const body = new Flow();
    const targets = loop.kind === 'While' ? [] : targetsOf(loop.target);
    if (loop.kind === 'While') body.use(loop.test, new Bound(null));
    const surely = body.run(loop.body, new Bound(null, targets));
    const after = this.#after(loop);
    for (const name of body.read.keys())
      for (const one of this.names.declared.get(lastOf(name)) ?? []) body.declared.add(one);
    const names = new Set([...body.bound.keys(), ...body.mutated.keys(), ...body.declared]);
    const lost = [...names].filter(
      (key) => !targets.includes(key) && this.#isCarried(key, body, surely, after) && !this.#isHandled(key, loop),
    );
    const found = lost.map((name): StartsAgain => ({ name, line: this.#lineOf(name, loop), unless: [], loop }));
    return [...found, ...this.#restarting(loop, after)].sort(inOrder);
  }

  #isCarried(key: Key, body: Flow, surely: Done, after: Flow): boolean {
    const isRead = body.read.has(key) || after.read.has(key);
    // A function's argument is read by its caller.
    if (body.mutated.has(key)) return isRead || key.includes('.') || this.#parameters.has(key);
    if (body.declared.has(key)) return isRead;
    if (body.updated.has(key)) return isRead || key.includes('.');
    if (body.exposed.has(key)) return true;
    return after.exposed.has(key) && (surely === null || !surely.has(key));
  }

  /** Tells whether a variable is handled: the script keeps it itself, a state keeps it, or it is a clock. */
  #isHandled(key: Key, loop: Loop): boolean {
    const { own, tracked, modules, imported } = this.names;
    // `torch.nn.utils.clip_grad_norm_` changes no module.
    if (modules.has(rootOf(key)) || (key.includes('.') && imported.has(rootOf(key)))) return true;
    if (prefixesOf(key).some((prefix) => own.has(prefix) || tracked.has(prefix))) return true;
    const bindings = this.bindingsOf(key);
    if (bindings.some((statement) => statement.line < loop.line && this.#mentionsRun(statement))) return true;
    const values = bindings.flatMap((one) => valueIn(one) ?? []);
    return values.length > 0 && (values.every(isClock) || values.some(isBar));
  }

  /** Tells whether a statement, or a condition that it stands under, reads the run. */
  #mentionsRun(statement: Node): boolean {
    for (let node: Node | undefined = statement; node && node !== this.node; node = this.parents.get(node)) {
      const looked = node.kind === 'If' ? node.test : node === statement ? node : null;
      if (readsIn(looked).some(([key]) => this.names.own.has(key))) return true;
    }
    return false;
  }

  /** Finds counters and neighbours of the loop itself: `enumerate`, `zip`, and the rounds of a loop that is no run's. */
  #restarting(loop: Loop, after: Flow): StartsAgain[] {
    if (loop.kind === 'While') return [];
    if (!this.isOverEpochs(loop) && !this.isOverBatches(loop)) {
      const ofRun = readsIn(loop.iter).some(
        ([key]) => this.names.own.has(key) || this.bindingsOf(key).some((one) => this.#mentionsRun(one)),
      );
      if (ofRun) return [];
      const [name] = targetsOf(loop.target);
      return [{ name: name && name !== '_' ? name : 'the loop', line: loop.line, unless: [], loop }];
    }
    return [...beside(loop.iter, loop.target, (node) => this.#isWrapped(node))].flatMap(
      ([name, isIndex]): StartsAgain[] => {
        const reads = loop.body
          .flatMap((statement) => [...walk(statement)])
          .filter(
            (node) => node.kind === 'Name' && node.id === name && node.ctx === 'Load' && !this.#isShown(node, loop),
          );
        if (reads.length === 0 && !after.exposed.has(name)) return [];
        const moduli = reads.map((node) => (isIndex ? modulus(node, this.parents, this.#text) : null));
        const isExcused = !moduli.includes(null) && !after.exposed.has(name);
        const unless = isExcused ? [...new Set(moduli as string[])].sort() : [];
        return [{ name, line: loop.line, unless, loop }];
      },
    );
  }

  #iteratesWrapped(loop: Loop): boolean {
    return loop.kind === 'For' && [...walk(loop.iter)].some((node) => this.#isWrapped(node));
  }

  /** Recognises `run.batches(…)`, or a name that it was given. */
  #isWrapped(node: Node): boolean {
    if (isCallOf(node, LOADERS, this.names.run)) return true;
    const key = keyOf(node);
    if (key === null) return false;
    const values = this.bindingsOf(key).flatMap((one) => valueIn(one) ?? []);
    return values.some((value) => [...walk(value)].some((inside) => isCallOf(inside, LOADERS, this.names.run)));
  }

  /** Tells whether a value is printed, or decides that something is printed, and nothing else comes of it. */
  #isShown(node: Node, loop: Loop): boolean {
    let child = node;
    for (let parent = this.parents.get(node); parent && parent !== loop; parent = this.parents.get(parent)) {
      if (parent.kind === 'Expr') return isShown(parent);
      if (parent.kind === 'If' && child === parent.test) return [...parent.body, ...parent.orelse].every(isShown);
      if (isStatement(parent)) return false;
      child = parent;
    }
    return false;
  }

  /** Collects what is read behind the loop, around enclosing loops once. */
  #after(loop: Loop): Flow {
    const flow = new Flow();
    let done = new Bound(null);
    let node: Node = loop;
    while (node !== this.node) {
      const parent = this.parents.get(node);
      if (!parent) break;
      for (const block of blocksOf(parent)) {
        const at = block.indexOf(node);
        // Code behind a `return` is reached by another way.
        if (at >= 0) done = flow.run(block.slice(at + 1), done) ?? new Bound(null);
      }
      if (isLoop(parent)) {
        if (parent.kind === 'While') flow.use(parent.test, done);
        const again = new Flow();
        again.run(parent.body, done, parent.kind === 'While' ? [] : targetsOf(parent.target));
        for (const [key, line] of again.exposed) {
          if (!flow.exposed.has(key)) flow.exposed.set(key, line);
          if (!flow.read.has(key)) flow.read.set(key, line);
        }
      }
      node = parent;
    }
    return flow;
  }

  /** Lists the functions that the loops call, without what they are attributes of. */
  calledInLoops(): Set<string> {
    const calls = this.loops.flatMap((loop) => [...walk(loop)].filter((node) => node.kind === 'Call'));
    return new Set(calls.map(({ func }) => lastOf(keyOf(func) ?? '')));
  }

  #lineOf(key: Key, loop: Loop): number {
    return this.bindingsOf(key).findLast((statement) => statement.line < loop.line)?.line ?? loop.line;
  }
}

/** Lists the scopes of a module: itself, and each function and class in it. */
export function scopesOf(module: Node, names: Names, text: string): Scope[] {
  const inner = [...walk(module)].filter((node) => node.kind === 'FunctionDef' || node.kind === 'ClassDef');
  return [module, ...inner].map((node) => new Scope(node, names, text));
}

/** Finds all variables that start again: `inside` after a checkpoint inside of an epoch, `across` after one at an epoch's end as well. */
export function variablesThatStartAgain(scopes: readonly Scope[]): Variables {
  const before = found.get(scopes);
  if (before) return before;
  const variables = search(scopes);
  found.set(scopes, variables);
  return variables;
}

interface Variables {
  inside: StartsAgain[];
  across: StartsAgain[];
}

/** Several checks ask for them. */
const found = new WeakMap<readonly Scope[], Variables>();

function search(scopes: readonly Scope[]): Variables {
  const insideOf = new Map<Scope, Map<Key, StartsAgain>>();
  const allAcross: StartsAgain[] = [];
  for (const scope of scopes) {
    const inside = new Map<Key, StartsAgain>();
    const across = new Map<Key, StartsAgain>();
    for (const loop of scope.loops) {
      const within = scope.loops.filter((one) => loop.line <= one.line && one.line <= loop.endLine);
      const overEpochs = within.some((one) => scope.isOverEpochs(one));
      const isOfRun = overEpochs || within.some((one) => scope.isOverBatches(one)) || hasSteps(loop, scope.names.run);
      for (const found of isOfRun ? scope.startsAgain(loop) : []) {
        if (!inside.has(found.name)) inside.set(found.name, found);
        if (overEpochs && !across.has(found.name)) across.set(found.name, found);
      }
    }
    insideOf.set(scope, inside);
    allAcross.push(...across.values());
  }
  const allInside = [...insideOf].flatMap(([scope, inside]) => {
    const called = inside.size > 0 ? scope.calledInLoops() : null;
    // A function that carries on what it is given is told of, and not whoever calls it as well.
    const isTold = (name: Key) =>
      [...insideOf].some(([{ node }, told]) => node.kind === 'FunctionDef' && called!.has(node.name) && told.has(name));
    return [...inside.values()].filter(({ name }) => !isTold(name));
  });
  return { inside: allInside.sort(inOrder), across: allAcross.sort(inOrder) };
}

function inOrder(a: StartsAgain, b: StartsAgain): number {
  return a.line - b.line || (a.name < b.name ? -1 : 1);
}
