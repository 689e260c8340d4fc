/** Variables that start again on a resume, with their move into `run.state`. */
import { clauseOf } from '../../../protocol/findings.ts';
import type { Finding, Fix } from '../codes.ts';
import { SEVERITY } from '../codes.ts';
import { keyOf, targetsOf } from './flow.ts';
import { type Scope, type StartsAgain, variablesThatStartAgain } from './loop-variables.ts';
import type { Assign, Loop, Name, Node } from './nodes.ts';
import { walk } from './nodes.ts';
import { kindOfValue } from './objects.ts';
import { initIn, type Script } from './script.ts';
import { isCallOf } from './syntax.ts';

/** Finds them. Loops in `told` have a finding of their own already. */
export function checkVariables(script: Script, told: ReadonlySet<Loop>): Finding[] {
  const { inside, across } = variablesThatStartAgain(script.scopes);
  return inside.flatMap((found) => {
    const scope = script.scopes.find(({ loops }) => loops.includes(found.loop))!;
    const isLostAcross = across.some(({ name, loop }) => name === found.name && scope.loops.includes(loop));
    const isOwnRound =
      found.loop.kind === 'For' && (targetsOf(found.loop.target).includes(found.name) || found.name === 'the loop');
    if (isOwnRound && told.has(found.loop)) return [];
    // An optimizer, a scaler and the like have a finding of their own if nothing keeps them.
    if (scope.bindingsOf(found.name).some((one) => one.kind === 'Assign' && kindOfValue(one.value) !== null)) return [];
    return [findingOf(script, scope, found, isLostAcross, isOwnRound)];
  });
}

function findingOf(script: Script, scope: Scope, found: StartsAgain, across: boolean, isOwnRound: boolean): Finding {
  const { name, loop, unless } = found;
  const place = placeOf(scope, found) ?? headOf(loop);
  if (isOwnRound && unless.length === 0 && loop.kind === 'For' && !scope.isOverBatches(loop))
    return script.at('loopVariable', place, 'This loop begins with its first round again on a resume', [
      roundsOfRun(script, scope, loop),
    ]);
  if (unless.length > 0) {
    const text = `\`${name}\` ${clauseOf('loopVariable')}, unless the checkpoint was taken after a multiple of ${unless.join(' and ')} batches`;
    return { ...script.at('loopVariable', place, text), severity: SEVERITY.information };
  }
  const when = across ? '' : ' in the middle of an epoch';
  const text = `\`${name}\` ${clauseOf('loopVariable')}${when}: this loop carries it, and no checkpoint has it`;
  return script.at('loopVariable', place, text, [intoState(script, scope, found)]);
}

/** Returns the name where it is set before the loop. */
function placeOf(scope: Scope, { name, line, loop }: StartsAgain): { from: number; to: number } | null {
  const targets = scope
    .bindingsOf(name)
    .filter((statement) => statement.line === line)
    .flatMap((statement) =>
      statement.kind === 'Assign'
        ? statement.targets
        : statement.kind === 'AnnAssign' || statement.kind === 'AugAssign'
          ? [statement.target]
          : [],
    );
  const nodes = [...targets, ...(loop.kind === 'For' ? [loop.target] : []), ...loop.body].flatMap((node) => [
    ...walk(node),
  ]);
  return nodes.find((node) => keyOf(node) === name && node.line === line) ?? null;
}

function headOf(loop: Loop): { from: number; to: number } {
  return loop.kind === 'For' ? { from: loop.target.from, to: loop.iter.to } : loop.test;
}

/** Makes `run.epochs(n)` of a loop over `range(n)` around the batches. */
function roundsOfRun(script: Script, scope: Scope, loop: Extract<Loop, { kind: 'For' }>): Fix | null {
  const { iter } = loop;
  const run = runOf(scope);
  const isAround = scope.loops.some(
    (one) => one !== loop && loop.from < one.from && one.to <= loop.to && scope.isOverBatches(one),
  );
  if (!run || !isAround || iter.kind !== 'Call' || keyOf(iter.func) !== 'range' || iter.args.length !== 1) return null;
  const count = script.textOf(iter.args[0]!);
  return {
    title: `Loop over ${run}.epochs(${count})`,
    edits: [script.edit(iter.from, iter.to, `${run}.epochs(${count})`)],
  };
}

const STATE_NAMES = ['s', 'state', 'kept', 'run_state'];

/** Moves a variable into `run.state`, where that cannot change anything else. Null: it might. */
function intoState(script: Script, scope: Scope, { name, loop }: StartsAgain): Fix | null {
  const run = runOf(scope);
  const init = initIn(scope);
  const outermost = scope.loops.find(
    (one) => one.from <= loop.from && loop.to <= one.to && init !== undefined && one.from > init.to,
  );
  if (!run || !init || !outermost || name.includes('.')) return null;
  const begin = scope.bindingsOf(name).findLast((one): one is Assign => one.kind === 'Assign' && one.line < loop.line);
  if (begin?.targets.length !== 1 || begin.targets[0]!.kind !== 'Name' || !isPlain(begin.value)) return null;
  if (isSharedWithFunctions(scope, name)) return null;
  const uses = scope.nodes.filter((node): node is Name => node.kind === 'Name' && node.id === name);
  if (
    scope.loops.some((one) => one.kind === 'For' && targetsOf(one.target).includes(name)) ||
    uses.some(({ ctx }) => ctx === 'Del')
  )
    return null;
  // A use outside of the loop's own code must still find the value where it was.
  const isBegunOutside = begin.to <= outermost.from;
  if (uses.some((use) => use.to <= outermost.from && use.from !== begin.from)) return null;
  const state = stateIn(scope, outermost);
  const others = new Set(scope.nodes.flatMap((node) => (node.kind === 'Name' ? [node.id] : [])));
  const holder = state?.name ?? STATE_NAMES.find((one) => !others.has(one));
  if (!holder) return null;
  const value = script.textOf(begin.value);
  const { start, indent } = script.lineOf(outermost.from);
  const made = state
    ? script.edit(state.call.to - 1, state.call.to - 1, `${state.call.keywords.length > 0 ? ', ' : ''}${name}=${value}`)
    : script.edit(start, start, `${indent}${holder} = ${run}.state(${name}=${value})\n`);
  const removed = isBegunOutside ? [removal(script, begin)] : [];
  const renamed = uses
    .filter((use) => !(isBegunOutside && use.from === begin.from))
    .map((use) => script.edit(use.from, use.to, `${holder}.${name}`));
  return { title: `Keep "${name}" in ${run}.state`, edits: [...removed, made, ...renamed].sort(inOrder) };
}

function inOrder(a: Fix['edits'][number], b: Fix['edits'][number]): number {
  return a.range.start.line - b.range.start.line || a.range.start.character - b.range.start.character;
}

function removal(script: Script, statement: Node): Fix['edits'][number] {
  const { start } = script.lineOf(statement.from);
  const end = script.text.indexOf('\n', statement.to);
  const rest = script.text.slice(statement.to, end < 0 ? undefined : end);
  // A line with something else on it keeps that.
  if (script.text.slice(start, statement.from).trim() !== '' || rest.trim() !== '')
    return script.edit(statement.from, statement.to, 'pass');
  return script.edit(start, end < 0 ? script.text.length : end + 1, '');
}

function runOf(scope: Scope): string | undefined {
  return [...scope.names.run].find((name) => !name.includes('.'));
}

function stateIn(scope: Scope, before: Node) {
  for (const node of scope.nodes) {
    if (node.kind !== 'Assign' || node.to > before.from || node.value.kind !== 'Call') continue;
    const [target] = node.targets;
    if (target?.kind === 'Name' && isCallOf(node.value, ['state'], scope.names.run))
      return { name: target.id, call: node.value };
  }
  return null;
}

function isSharedWithFunctions(scope: Scope, name: string): boolean {
  const inner = scope.nodes.filter(
    (node) => node !== scope.node && ['FunctionDef', 'ClassDef', 'Lambda'].includes(node.kind),
  );
  const declares = scope.nodes.some(
    (node) => (node.kind === 'Global' || node.kind === 'Nonlocal') && node.names.includes(name),
  );
  const reads = inner.some((definition) =>
    [...walk(definition)].some((node) => node.kind === 'Name' && node.id === name),
  );
  return declares || reads;
}

/** Tells whether a value is one that a state can hold from the start: a constant, or an empty or constant container. */
function isPlain(value: Node): boolean {
  if (value.kind === 'Constant') return true;
  if (value.kind === 'Tuple' || value.kind === 'List') return value.elts.every(isPlain);
  // `-1`, `{}`, `float("inf")`
  if (value.kind === 'Other') return value.parts.every(isPlain);
  return value.kind === 'Call' && keyOf(value.func) === 'float' && value.args.every(isPlain);
}
