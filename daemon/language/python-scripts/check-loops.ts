/** The order of a loop's calls: `run.batches`, `run.step`, and adapters that come too late. */
import { clauseOf } from '../../../protocol/findings.ts';
import type { Finding, Fix } from '../codes.ts';
import { type Key, keyOf } from './flow.ts';
import type { Scope } from './loop-variables.ts';
import type { Call, Loop, Node } from './nodes.ts';
import { walk } from './nodes.ts';
import { objectKind } from './objects.ts';
import { callsIn, methodOf, type Script } from './script.ts';
import { blocksOf, calledName, hasSteps, isCallOf } from './syntax.ts';

const LOADERS = ['batches', 'forever'];
const NO_GRADIENTS = new Set(['no_grad', 'inference_mode']);
const EVALUATES = /val|test|eval/i;
const WRAPPERS = new Set(['enumerate', 'tqdm', 'iter', 'track']);

/** Finds loaders that are read without `run.batches`, with the loops over them; null where a loop draws from one by `next`. */
export function checkLoaders(script: Script): { finding: Finding; loop: Loop | null }[] {
  const run = plainRun(script);
  return script.scopes.flatMap((scope) =>
    scope.loops.flatMap((loop): { finding: Finding; loop: Loop | null }[] => {
      if (!ownCalls(scope, loop).some((call) => isCallOf(call, ['step'], scope.names.run))) return [];
      const drawn = drawnFrom(scope, loop);
      if (drawn) return [{ finding: script.at('plainLoader', drawn, textOf(script, drawn)), loop: null }];
      if (loop.kind !== 'For' || scope.isOverBatches(loop) || scope.isOverEpochs(loop)) return [];
      const loader = loaderOf(scope, loop.iter);
      if (!loader) return [];
      const name = script.textOf(loader);
      const fix = run
        ? {
            title: `Read ${run}.batches(${name})`,
            edits: [script.edit(loader.from, loader.to, `${run}.batches(${name})`)],
          }
        : null;
      return [{ finding: script.at('plainLoader', loader, textOf(script, loader), [fix]), loop }];
    }),
  );
}

/** Finds loops over batches without `run.step`, and calls of it before what belongs to the step. */
export function checkSteps(script: Script): Finding[] {
  return script.scopes.flatMap((scope) =>
    scope.loops.flatMap((loop) => {
      if (!scope.isOverBatches(loop)) return [];
      const calls = callsIn(loop.body.flatMap((statement) => [...walk(statement)]));
      const trains =
        calls.some((call) => call.func.kind === 'Attribute' && call.func.attr === 'backward') ||
        calls.some((call) => isUpdate(scope, call));
      const steps = calls.some((call) => isCallOf(call, ['step'], scope.names.run));
      if (trains && !steps && !givesRunAway(script, scope, loop))
        return [
          script.at(
            'noStep',
            headOf(loop),
            'This loop never calls run.step, so none of its steps is counted, and no checkpoint is taken in it',
          ),
        ];
      return earlySteps(script, scope, loop);
    }),
  );
}

/** Finds `attach` and callbacks that are made once the training is over. */
export function checkAdapters(script: Script): Finding[] {
  return script.scopes.flatMap((scope) => {
    const calls = callsIn(scope.nodes);
    return calls.flatMap((call): Finding[] => {
      const key = keyOf(call.func);
      const isAttach = key === 'trainstash.attach' || key === 'attach';
      if (!isAttach && key !== 'trainstash.keras' && key !== 'trainstash.paddle') return [];
      const trainer = isAttach ? call.args[0] && keyOf(call.args[0]) : null;
      if (isAttach && trainer === null) return [];
      const trainings = calls.filter((other) => {
        const method = methodOf(other);
        return (
          method !== null &&
          ['fit', 'train'].includes(method.method) &&
          (trainer === null || method.of === trainer) &&
          other !== call &&
          !isModeOfModel(other)
        );
      });
      const before = trainings.filter((other) => other.to <= call.from);
      if (before.length === 0 || trainings.length > before.length) return [];
      const shown = script.textOf(before.at(-1)!.func);
      return [
        script.at(
          'lateAdapter',
          call,
          `This stands after ${shown}(), so nothing of that training is kept. Put it before`,
        ),
      ];
    });
  });
}

/** Finds the loader in what a loop reads: a name that a `DataLoader` was given to, inside of `enumerate`, `tqdm` and the like. */
function loaderOf(scope: Scope, iter: Node): Node | null {
  if (iter.kind === 'Call' && WRAPPERS.has(calledName(iter)) && iter.args[0]) return loaderOf(scope, iter.args[0]);
  if (calledName(iter) === 'DataLoader') return iter;
  const key = keyOf(iter);
  if (key === null) return null;
  const isMade = scope.bindingsOf(key).some((one) => one.kind === 'Assign' && calledName(one.value) === 'DataLoader');
  return isMade || /(loader|dataloader|_dl)$/i.test(key) ? iter : null;
}

function textOf(script: Script, loader: Node): string {
  return `\`${script.textOf(loader)}\` ${clauseOf('plainLoader')}`;
}

/** Finds what a loop draws its batches from by `next`: an endless reader that was made of a loader, and not by the run. */
function drawnFrom(scope: Scope, loop: Loop): Node | null {
  const calls = callsIn(loop.body.flatMap((statement) => [...walk(statement)]));
  if (!calls.some((call) => call.func.kind === 'Attribute' && call.func.attr === 'backward')) return null;
  for (const call of calls) {
    const [from] = call.args;
    const key = from && keyOf(from);
    if (keyOf(call.func) !== 'next' || !key || EVALUATES.test(key) || isWithoutGradients(scope, call)) continue;
    const values = scope.bindingsOf(key).flatMap((one) => (one.kind === 'Assign' ? [one.value] : []));
    if (values.some((value) => [...walk(value)].some((one) => isCallOf(one, LOADERS, scope.names.run)))) continue;
    if (values.some((value) => value.kind === 'Call' && value.args[0] && loaderOf(scope, value.args[0]))) return from;
  }
  return null;
}

function isWithoutGradients(scope: Scope, call: Call): boolean {
  for (let node = scope.parents.get(call); node; node = scope.parents.get(node))
    if (node.kind === 'With' && node.items.some(({ expression }) => NO_GRADIENTS.has(calledName(expression))))
      return true;
  return false;
}

/** Lists the calls in a loop's body, without those in loops inside of it. */
function ownCalls(scope: Scope, loop: Loop): Call[] {
  const inner = scope.loops.filter((one) => one !== loop && loop.from < one.from && one.to <= loop.to);
  return callsIn(loop.body.flatMap((statement) => [...walk(statement)])).filter(
    (call) => !inner.some((one) => one.from <= call.from && call.to <= one.to),
  );
}

/** Finds calls of `run.step` with an update behind them in the same block. */
function earlySteps(script: Script, scope: Scope, loop: Loop): Finding[] {
  const found: Finding[] = [];
  for (const parent of walk(loop)) {
    for (const block of blocksOf(parent)) {
      const at = block.findIndex(
        (statement) => statement.kind === 'Expr' && isCallOf(statement.value, ['step'], scope.names.run),
      );
      if (at < 0) continue;
      const step = block[at]!;
      const late = block
        .slice(at + 1)
        .filter((statement) => callsIn(walk(statement)).some((call) => isUpdate(scope, call)));
      const last = late.at(-1);
      if (!last) continue;
      const update = callsIn(walk(late[0]!)).find((call) => isUpdate(scope, call))!;
      const text = `\`${script.textOf(update.func)}()\` ${clauseOf('earlyStep')}: run.step stands before it`;
      found.push(script.at('earlyStep', step, text, [moved(script, step, last)]));
    }
  }
  return found;
}

function moved(script: Script, step: Node, behind: Node): Fix | null {
  const { start, indent } = script.lineOf(step.from);
  const end = script.text.indexOf('\n', step.to);
  const isAlone =
    script.text.slice(start, step.from).trim() === '' && end >= 0 && script.text.slice(step.to, end).trim() === '';
  if (!isAlone) return null;
  const after = script.text.indexOf('\n', behind.to);
  const to = after < 0 ? script.text.length : after;
  return {
    title: 'Move run.step behind it',
    edits: [script.edit(start, end + 1, ''), script.edit(to, to, `\n${indent}${script.textOf(step)}`)],
  };
}

/** Tells whether a call is part of a step: of an optimizer, a schedule or a scaler. */
function isUpdate(scope: Scope, call: Call): boolean {
  const method = methodOf(call);
  if (!method || scope.names.run.has(method.of)) return false;
  const kinds = kindsOf(scope, method.of);
  if (method.method === 'step')
    return (
      kinds.some((kind) => kind === 'optimizer' || kind === 'schedule' || kind === 'scaler') ||
      /(^|\.)(optimi[sz]er|opt|scheduler|sched|scaler)$/.test(method.of)
    );
  return method.method === 'update' && (kinds.includes('scaler') || /(^|\.)scaler$/.test(method.of));
}

function kindsOf(scope: Scope, key: Key) {
  return scope
    .bindingsOf(key)
    .flatMap((one) => (one.kind === 'Assign' && one.value.kind === 'Call' ? [objectKind(one.value)] : []));
}

/** Tells whether a loop hands the run to something that may count the step. */
function givesRunAway({ module }: Script, scope: Scope, loop: Loop): boolean {
  const calls = callsIn(loop.body.flatMap((statement) => [...walk(statement)]));
  const stepping = [...walk(module)].flatMap((node) =>
    node.kind === 'FunctionDef' && hasSteps(node, scope.names.run) ? [node.name] : [],
  );
  if (calls.some((call) => stepping.includes(calledName(call)))) return true;
  return calls.some(({ args, keywords }) =>
    [...args, ...keywords.map(({ value }) => value)].some((one) => scope.names.run.has(keyOf(one) ?? '')),
  );
}

/** Tells whether a call only sets a model's mode: `model.train()`. */
function isModeOfModel(call: Call): boolean {
  const method = methodOf(call);
  return method?.method === 'train' && !/trainer/i.test(method.of);
}

function plainRun({ names }: Script): string | undefined {
  return [...names.run].find((name) => !name.includes('.'));
}

function headOf(loop: Loop): { from: number; to: number } {
  return loop.kind === 'For' ? { from: loop.target.from, to: loop.iter.to } : loop.test;
}
