/**
 * Recognises the allocation of a scheduler that this process is in: a batch job, a pod, a unit, a job of continuous integration. A
 * training in one must not leave it, since its devices, its limits and its end are the scheduler's. The Python package judges by
 * the same rule.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { isatty } from 'node:tty';
import type { Allocation } from '../protocol/allocation.ts';
import rules from '../protocol/rules/allocations.json' with { type: 'json' };

interface Kind {
  readonly name: string;
  readonly title: string;
  /** Variables that are all set in such an allocation. */
  readonly variables: readonly string[];
  /** Variable with its id there. */
  readonly job: string;
  readonly restarts?: string;
  readonly node?: string;
  /** Variable with the number of this task among those of the same step. */
  readonly rank?: string;
  /** Pattern that the process's control group matches as well. */
  readonly cgroup?: string;
  /** False: with a terminal it is a person's shell, whose desktop or editor was started in that way. */
  readonly holdsTerminals: boolean;
}

/** Facts about a process that the rule looks at. */
export interface Surroundings {
  variables: Readonly<Record<string, string | undefined>>;
  hasTerminal: boolean;
  /** Last line of /proc/self/cgroup. */
  cgroup: string;
}

/** Variable by which a person says that there is none. */
const OVERRIDE = 'TRAINSTASH_ALLOCATION';
const KINDS: readonly Kind[] = rules.kinds;

/** Names the allocation around this process; null: there is none. */
export function allocationHere(): Allocation | null {
  return allocationOf({ variables: process.env, hasTerminal: [0, 1, 2].some(isatty), cgroup: cgroupHere() });
}

/** Applies the rule. Pure but for the host's name. */
export function allocationOf({ variables, hasTerminal, cgroup }: Surroundings): Allocation | null {
  if (variables[OVERRIDE] === 'none') return null;
  const kind = KINDS.find(
    (one) =>
      one.variables.every((name) => variables[name]) &&
      (one.holdsTerminals || !hasTerminal) &&
      (one.cgroup === undefined || new RegExp(one.cgroup).test(cgroup)),
  );
  if (!kind) return null;
  return {
    kind: kind.name,
    job: variables[kind.job] ?? '',
    // Slurm sets its counter from the second life on; null: this kind has none.
    restart: kind.restarts === undefined ? null : countOf(variables[kind.restarts]),
    node: (kind.node && variables[kind.node]) || hostname(),
  };
}

/** Names a kind of allocation for people: `the Slurm job`. */
export function allocationTitle(kind: string): string {
  return KINDS.find(({ name }) => name === kind)?.title ?? 'the job';
}

/** Returns the number of this process among those of its step, of which the first one records; 0 where there is one only. */
export function rankIn({ kind }: Allocation): number {
  const variable = KINDS.find(({ name }) => name === kind)?.rank;
  return variable === undefined ? 0 : countOf(process.env[variable]);
}

function countOf(text: string | undefined): number {
  return /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0;
}

function cgroupHere(): string {
  try {
    return readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n').at(-1) ?? '';
  } catch {
    return '';
  }
}
