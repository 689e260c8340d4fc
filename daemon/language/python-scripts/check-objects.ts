/** Objects with a state that `init` was not given, and objects that change after it. */
import { clauseOf } from '../../../protocol/findings.ts';
import type { Finding, Fix } from '../codes.ts';
import { type Key, keyOf, lookedAt, prefixesOf } from './flow.ts';
import type { Scope } from './loop-variables.ts';
import type { Assign, Call, Node } from './nodes.ts';
import { kindOfValue } from './objects.ts';
import { callsIn, holds, initIn, methodOf, type Script } from './script.ts';
import { calledName } from './syntax.ts';

const MOVES = new Set(['to', 'cuda', 'cpu', 'half', 'bfloat16', 'float', 'double']);

export function checkObjects(script: Script): Finding[] {
  return script.scopes.flatMap((scope) => {
    const init = initIn(scope);
    if (!init) return [];
    return [...untracked(script, scope, init), ...movedAfter(script, scope, init)];
  });
}

function untracked(script: Script, scope: Scope, init: Call): Finding[] {
  const given = tracking(scope);
  // `init(**objects)`, or an object of another package that holds all the others.
  if (given === null || [...given].some((key) => isAccelerator(scope, key))) return [];
  const used = new Set(
    scope.loops.flatMap((loop) => loop.body.flatMap((statement) => lookedAt(statement).keys.map(([key]) => key))),
  );
  const told = new Set<Key>();
  const made = scope.nodes.filter((node) => node.kind === 'Assign').sort((a, b) => a.from - b.from);
  return made.flatMap((node): Finding[] => {
    if (node.targets.length !== 1) return [];
    const [target] = node.targets as [Node];
    const key = keyOf(target);
    const kind = kindOfValue(node.value);
    // A schedule that only another one drives is part of that one.
    if (key === null || kind === null || scope.loops.some((loop) => holds(loop, node)) || !isUsed(key, used)) return [];
    if (prefixesOf(key).some((prefix) => given.has(prefix)) || isMadeAgain(scope, node, key)) return [];
    if (told.has(key)) return [];
    told.add(key);
    const text = `\`${key}\` ${clauseOf('untrackedObject')}`;
    return [script.at('untrackedObject', target, text, [trackingFix(script, scope, init, node, key)])];
  });
}

/** Lists all that `init` and `track` were given; null: something that the text does not name. */
function tracking(scope: Scope): Set<Key> | null {
  const given = new Set<Key>();
  for (const call of callsIn(scope.nodes)) {
    const isTrack = call.func.kind === 'Attribute' && call.func.attr === 'track';
    if (call !== initIn(scope) && !isTrack) continue;
    for (const { arg, value } of call.keywords) {
      if (arg === null) return null;
      if (arg !== 'params') for (const [key] of lookedAt(value).keys) given.add(key);
    }
  }
  for (const key of scope.names.tracked) given.add(key);
  return given;
}

function isAccelerator(scope: Scope, key: Key): boolean {
  return scope.bindingsOf(key).some((one) => one.kind === 'Assign' && calledName(one.value) === 'Accelerator');
}

function isUsed(key: Key, used: ReadonlySet<Key>): boolean {
  return used.has(key) || [...used].some((one) => one.startsWith(`${key}.`));
}

/**
 * Tells whether a name is given another value before the loop: what was made here is then inside of something else. A call that is given
 * the object and hands it back, as `accelerator.prepare` does, makes no other one, nor does the other branch of a condition.
 */
function isMadeAgain(scope: Scope, node: Assign, key: Key): boolean {
  return scope
    .bindingsOf(key)
    .some((other) => other.line > node.line && !handsBack(other, key) && !isOtherBranch(scope, node, other));
}

function handsBack(binding: Node, key: Key): boolean {
  if (binding.kind !== 'Assign' || binding.value.kind !== 'Call') return false;
  const { args, keywords } = binding.value;
  const isSame = binding.targets.some((target) => keyOf(target) === key);
  // `optimizer = Wrapper(optimizer)` is another object that holds it.
  return !isSame && [...args, ...keywords.map(({ value }) => value)].some((one) => keyOf(one) === key);
}

function isOtherBranch(scope: Scope, one: Node, other: Node): boolean {
  let child = one;
  for (let node = scope.parents.get(one); node; node = scope.parents.get(node)) {
    if (node.kind === 'If' && node.from <= other.from && other.to <= node.to) {
      const block = node.body.includes(child) ? node.body : node.orelse;
      return !block.some((statement) => holds(statement, other));
    }
    child = node;
  }
  return false;
}

function trackingFix(script: Script, scope: Scope, init: Call, made: Node, key: Key): Fix | null {
  const name = key.slice(key.lastIndexOf('.') + 1);
  if (init.keywords.some(({ arg }) => arg === name)) return null;
  if (made.to <= init.from) {
    const end = init.to - 1;
    const before = script.text.slice(init.from, end).trimEnd();
    const separator = before.endsWith('(') ? '' : before.endsWith(',') ? ' ' : ', ';
    return {
      title: `Give ${key} to init`,
      edits: [script.edit(init.from + before.length, end, `${separator}${name}=${key}`)],
    };
  }
  const run = [...scope.names.run].find((one) => !one.includes('.'));
  if (!run) return null;
  const { indent } = script.lineOf(made.from);
  return { title: `Track ${key}`, edits: [script.edit(made.to, made.to, `\n${indent}${run}.track(${name}=${key})`)] };
}

/** Finds models that are moved between `init` and the loop. */
function movedAfter(script: Script, scope: Scope, init: Call): Finding[] {
  const given = new Map(
    init.keywords.flatMap(({ arg, value }) => (arg === null || arg === 'params' ? [] : [[keyOf(value), arg] as const])),
  );
  const begin = beginOfTraining(scope, init);
  return callsIn(scope.nodes).flatMap((call): Finding[] => {
    const method = methodOf(call);
    if (!method || !MOVES.has(method.method) || !given.has(method.of)) return [];
    if (call.from < init.to || call.from > begin || scope.loops.some((one) => holds(one, call))) return [];
    const text = `\`${method.of}\` is moved after init, which has loaded the checkpoint by then: what belongs to it stays where it was. Move it before init`;
    return [script.at('moveAfterInit', call, text)];
  });
}

/** Returns where the training begins behind `init`: at a loop, or at a call that is given the run. */
function beginOfTraining(scope: Scope, init: Call): number {
  const loop = scope.loops.find((one) => one.from > init.to);
  const given = callsIn(scope.nodes).find(({ from, args, keywords }) => {
    const values = [...args, ...keywords.map(({ value }) => value)];
    return from > init.to && values.some((value) => scope.names.run.has(keyOf(value) ?? ''));
  });
  return Math.min(loop?.from ?? Number.POSITIVE_INFINITY, given?.from ?? Number.POSITIVE_INFINITY);
}
