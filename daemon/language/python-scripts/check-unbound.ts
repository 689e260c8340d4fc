/**
 * Names that only a loop of the run sets and that are read behind it. A resume from the loop's end runs no round of it, and Python
 * ends the script at that read.
 */
import type { Finding, Fix } from '../codes.ts';
import { Bound } from './bound.ts';
import { type Done, Flow, type Key, keyOf, rootOf, targetsOf } from './flow.ts';
import { type Scope, variablesThatStartAgain } from './loop-variables.ts';
import type { Loop, Name, Node } from './nodes.ts';
import { isLoop, walk } from './nodes.ts';
import type { Script } from './script.ts';
import { blocksOf, calledName } from './syntax.ts';

/** Exceptions that a script catches when it expects a name without a value. */
const CATCHES = new Set(['NameError', 'UnboundLocalError', 'Exception', 'BaseException']);
/** Functions that say which names there are. */
const TELL_NAMES = new Set(['locals', 'globals', 'vars', 'dir']);
const EXITS = new Set(['sys.exit', 'exit', 'quit', 'os._exit', 'os.abort']);

export function checkUnbound(script: Script): Finding[] {
  // One mark a name: what starts again has one already, and its fix mends both.
  const { inside } = variablesThatStartAgain(script.scopes);
  return script.scopes.flatMap((scope) => {
    const told = new Set(inside.flatMap(({ name, loop }) => (scope.loops.includes(loop) ? name : [])));
    return scope.loops
      .filter(
        (loop) => isOfRun(scope, loop) && !scope.loops.some((other) => isOfRun(scope, other) && isIn(loop, other)),
      )
      .flatMap((loop) => findingsOf(script, scope, loop, told));
  });
}

function findingsOf(script: Script, scope: Scope, loop: Loop, told: ReadonlySet<Key>): Finding[] {
  const body = new Flow();
  body.run(loop.body, new Bound(null, loop.kind === 'For' ? targetsOf(loop.target) : []));
  const bound = new Set([...body.bound.keys(), ...(loop.kind === 'For' ? targetsOf(loop.target) : [])]);
  const { before, after } = around(scope, loop);
  return [...bound].flatMap((name) => {
    const line = after.exposed.get(name);
    // Attributes belong to an object that is there. What another function sets or reads is not judged.
    if (line === undefined || name.includes('.') || before.has(name) || told.has(name) || scope.isDeclared(name))
      return [];
    const read = readIn(scope, name, loop, line);
    if (!read || isExpected(scope, read) || isSetBetween(scope, loop, read)) return [];
    // A module or a function that is None helps nobody.
    const fixes = definedIn(loop).has(name) ? [] : [setBefore(script, loop, name)];
    const text = `\`${name}\` has no value if a resume begins at the end of this loop: it is set in line ${body.bound.get(name) ?? loop.line} only`;
    return [script.at('mayBeUnbound', read, text, fixes)];
  });
}

/** Follows the statements before and behind a loop, block by block outwards. */
function around(scope: Scope, loop: Loop): { before: Bound; after: Flow } {
  const blocks: { statements: Node[]; at: number }[] = [];
  let child: Node = loop;
  for (let node = scope.parents.get(loop); node; node = scope.parents.get(node)) {
    for (const statements of blocksOf(node)) {
      const at = statements.indexOf(child);
      if (at >= 0) blocks.unshift({ statements, at });
    }
    child = node;
  }
  let before = new Bound(null, scope.parameters());
  for (const { statements, at } of blocks) {
    const flow = new Flow();
    flow.run(statements.slice(0, at), before);
    before = new Bound(before, flow.bound.keys());
  }
  const after = new Flow();
  let reached: Done = before;
  for (const { statements, at } of blocks.toReversed()) reached = after.run(statements.slice(at + 1), reached);
  return { before, after };
}

function isOfRun(scope: Scope, loop: Loop): boolean {
  return scope.isOverEpochs(loop) || scope.isOverBatches(loop);
}

function isIn(inner: Loop, outer: Loop): boolean {
  return inner !== outer && outer.from <= inner.from && inner.to <= outer.to;
}

function readIn(scope: Scope, name: Key, loop: Loop, line: number): Name | undefined {
  return scope.nodes
    .flatMap((node) => [...walk(node)])
    .find(
      (node): node is Name =>
        node.kind === 'Name' && node.id === name && node.ctx === 'Load' && node.line === line && node.from > loop.to,
    );
}

/** Tells whether the script itself expects that a name has no value: it catches the error, or asks which names there are. */
function isExpected(scope: Scope, read: Name): boolean {
  let child: Node = read;
  for (let node = scope.parents.get(read); node; node = scope.parents.get(node)) {
    if (node.kind === 'Try' && node.body.includes(child) && node.handlers.some(({ type }) => !type || catches(type)))
      return true;
    if (
      node.kind === 'With' &&
      node.body.includes(child) &&
      node.items.some(({ expression }) => suppresses(expression))
    )
      return true;
    if ((node.kind === 'If' || node.kind === 'IfExp') && asksFor(node.test, read.id)) return true;
    if (node.kind === 'Other' && asksFor(node, read.id)) return true;
    child = node;
  }
  return false;
}

function catches(type: Node): boolean {
  return [...walk(type)].some((node) => CATCHES.has(keyOf(node) ?? ''));
}

function suppresses(node: Node): boolean {
  return node.kind === 'Call' && calledName(node) === 'suppress' && node.args.some(catches);
}

function asksFor(test: Node, name: Key): boolean {
  const inside = [...walk(test)];
  return (
    inside.some((node) => node.kind === 'Call' && TELL_NAMES.has(keyOf(node.func) ?? '')) &&
    inside.some((node) => node.kind === 'Constant' && node.text.slice(1, -1) === name)
  );
}

/**
 * Tells whether a name is surely set between a loop and a read. Loops are taken to run at least once, also where a `break` ends them,
 * and a branch that leaves does not reach the read.
 */
function isSetBetween(scope: Scope, loop: Loop, read: Name): boolean {
  return scope.nodes.some((node) => {
    if (node.kind !== 'Name' || node.id !== read.id || node.ctx !== 'Store') return false;
    if (node.from < loop.to || read.from < node.to) return false;
    let child: Node = node;
    for (let parent = scope.parents.get(node); parent; parent = scope.parents.get(parent)) {
      if (parent.from <= read.from && read.to <= parent.to) return true;
      if (!isReachedThrough(parent, child)) return false;
      child = parent;
    }
    return true;
  });
}

/** Tells whether whoever comes past a statement has come through this part of it. */
function isReachedThrough(node: Node, part: Node): boolean {
  if (node.kind === 'If') {
    if (part === node.test) return true;
    return leaves(node.body.includes(part) ? node.orelse : node.body);
  }
  if (node.kind === 'Try')
    return (
      node.finalbody.includes(part) || (node.body.includes(part) && node.handlers.every(({ body }) => leaves(body)))
    );
  if (isLoop(node)) return !node.orelse.includes(part);
  return node.kind !== 'ExceptHandler' && node.kind !== 'match_case' && node.kind !== 'comprehension';
}

function leaves(block: readonly Node[]): boolean {
  const last = block.at(-1);
  if (!last) return false;
  if (last.kind === 'Expr') return last.value.kind === 'Call' && EXITS.has(keyOf(last.value.func) ?? '');
  return ['Return', 'Raise', 'Break', 'Continue'].includes(last.kind);
}

/** Lists what a loop imports and defines. */
function definedIn(loop: Loop): Set<Key> {
  const names = loop.body
    .flatMap((statement) => [...walk(statement)])
    .flatMap((node) => {
      if (node.kind === 'Import') return node.names.map(({ name, as }) => rootOf(as ?? name));
      return node.kind === 'FunctionDef' || node.kind === 'ClassDef' ? [node.name] : [];
    });
  return new Set(names);
}

function setBefore(script: Script, loop: Loop, name: Key): Fix {
  const { start, indent } = script.lineOf(loop.from);
  return {
    title: `Set "${name}" to None before the loop`,
    edits: [script.edit(start, start, `${indent}${name} = None\n`)],
  };
}
