/**
 * `npm run fuzz [-- --minutes 60] [--target NAME] [--seed N] [--input FILE]`: attacks every reader with mutated inputs. Each target runs
 * in a process of its own, so that a hang or running out of memory is a finding and not the end. The last line has the result.
 */
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runCleanups } from '../support/cleanup.ts';
import { Finding, type FuzzResult, fuzz } from './engine.ts';
import { fuzzPython, PYTHON_TARGET } from './python.ts';
import type { FuzzTarget } from './target.ts';
import { TARGETS } from './targets.ts';

const FINDINGS = resolve(import.meta.dirname, '../../.cache/fuzz');
const MEMORY_MB = 1_500;
/** Grace period beyond the time that a target may use. */
const GRACE_MS = 120_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    input: { type: 'string' },
    child: { type: 'boolean', default: false },
  },
});

interface Outcome {
  result: FuzzResult | null;
  problem: string | null;
}

const seed = Number(values.seed);
if (values.child) await runChild(targetNamed(values.target!), Number(values.minutes));
else if (values.input && values.target === PYTHON_TARGET) process.exitCode = await runPython(0, values.input);
else if (values.input) await replay(targetNamed(values.target ?? TARGETS[0]!.name), values.input);
else process.exitCode = await runAll();

function targetNamed(name: string): FuzzTarget {
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target) return target;
  const known = [...TARGETS.map((each) => each.name), PYTHON_TARGET];
  console.error(`There is no target "${name}". Known: ${known.map((each) => `"${each}"`).join(', ')}.`);
  process.exit(2);
}

async function runAll(): Promise<number> {
  const isPythonAlone = values.target === PYTHON_TARGET;
  const chosen = isPythonAlone ? [] : values.target ? [targetNamed(values.target)] : TARGETS;
  const withPython = isPythonAlone || !values.target;
  const minutesEach = Number(values.minutes) / (chosen.length + (withPython ? 1 : 0));
  mkdirSync(FINDINGS, { recursive: true });
  console.log(`seed ${seed}`);
  let findings = 0;
  let executions = 0;
  for (const target of chosen) {
    const { result, problem } = await inProcess(target, minutesEach);
    if (result) {
      executions += result.executions;
      const blocks = result.blocks === null ? '' : `, ${result.blocks} blocks, ${result.corpus} inputs kept`;
      console.log(
        `${target.name}: ${result.executions} executions, slowest ${Math.round(result.slowestMs)} ms${blocks}`,
      );
    }
    if (problem === null) continue;
    findings++;
    const input = fileOf(target);
    console.log(`FINDING in ${target.name}: ${problem}`);
    console.log(`  again: npm run fuzz -- --target '${target.name}' --input ${input}`);
  }
  if (withPython) findings += await runPython(minutesEach);
  console.log(`${executions} executions, ${findings} findings`);
  return findings > 0 ? 1 : 0;
}

/** Returns the number of findings. */
async function runPython(minutes: number, input?: string): Promise<number> {
  const result = await fuzzPython(minutes, seed, FINDINGS, input);
  if ('why' in result) {
    console.log(`NOT RUN: ${PYTHON_TARGET}, since ${result.why}`);
    return 0;
  }
  console.log(`${PYTHON_TARGET}: ${result.executions} executions`);
  if (result.problem === null) return 0;
  console.log(`FINDING in ${PYTHON_TARGET}: ${result.problem}`);
  console.log(`  again: npm run fuzz -- --target '${PYTHON_TARGET}' --input FILE, which is named above`);
  return 1;
}

function fileOf(target: FuzzTarget): string {
  return join(FINDINGS, `${target.name.replace(/\W+/g, '-')}-${seed}`);
}

function inProcess(target: FuzzTarget, minutes: number): Promise<Outcome> {
  return new Promise((done) => {
    const words = ['--child', '--target', target.name, '--minutes', String(minutes), '--seed', String(seed)];
    const child = fork(import.meta.filename, words, {
      execArgv: [`--max-old-space-size=${MEMORY_MB}`],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let said: Outcome | null = null;
    // A child that hangs does not notice the end of its parent.
    const stop = () => {
      child.kill('SIGKILL');
      process.exit(1);
    };
    process.once('SIGTERM', stop).once('SIGINT', stop);
    const limit = setTimeout(() => child.kill('SIGKILL'), minutes * 60_000 + target.hangMs + GRACE_MS);
    child.on('message', (outcome: Outcome) => {
      said = outcome;
    });
    child.once('exit', (code, signal) => {
      clearTimeout(limit);
      process.off('SIGTERM', stop).off('SIGINT', stop);
      done(
        said ?? { result: null, problem: `the process ended (${signal ?? `code ${code}`}): a hang, or out of memory` },
      );
    });
  });
}

async function runChild(target: FuzzTarget, minutes: number): Promise<void> {
  const input = fileOf(target);
  const until = Date.now() + minutes * 60_000;
  let outcome: Outcome;
  try {
    const result = await fuzz(target, {
      seed,
      goesOn: () => Date.now() < until,
      // Written to disk before it runs, so that an input that ends this process can be tried again.
      before: (bytes) => writeFileSync(input, bytes),
    });
    rmSync(input, { force: true });
    outcome = { result, problem: null };
  } catch (error) {
    outcome = { result: null, problem: (error as Error).message };
    if (error instanceof Finding) writeFileSync(input, error.input);
  }
  await runCleanups();
  process.send!(outcome, () => process.exit(0));
}

async function replay(target: FuzzTarget, path: string): Promise<void> {
  await target.seeds();
  const start = performance.now();
  try {
    await target.run(new Uint8Array(readFileSync(path)));
    console.log(`${target.name}: nothing found, ${Math.round(performance.now() - start)} ms`);
  } finally {
    await target.close?.();
    await runCleanups();
  }
}
