/** Engines: clusters and hosts that runs are sent to. Their settings in `trainstash.json`, and what is known of their jobs. */
import * as v from 'valibot';
import { namedRecord } from './any-names.ts';
import { described } from './described.ts';

export const ENGINE_TYPES = ['slurm', 'ssh', 'ray', 'kubernetes'] as const;
export const LAUNCHERS = ['plain', 'torchrun', 'accelerate'] as const;
/** Name of this machine where an engine is asked for. */
export const HERE_NAME = 'here';

const seconds = v.pipe(v.string(), v.regex(/^\s*\d+(\.\d+)?\s*(s|m|h)\s*$/));
const whole = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000));
const kubernetesName = v.pipe(v.string(), v.regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/));
const line = v.pipe(v.string(), v.nonEmpty(), v.regex(/^[^\n\r\0]*$/));
const folder = v.pipe(v.string(), v.regex(/^(\/|~\/)[^\n\r\0]*$/));

const podSchema = v.strictObject({
  image: described('Image of the training.', v.pipe(v.string(), v.regex(/^[^\s-]\S*$/))),
  claim: described('PersistentVolumeClaim that pods see at the path of `folder`.', kubernetesName),
  namespace: v.optional(described('Namespace; absent: the one that `kubectl` uses.', kubernetesName)),
  gpus: v.optional(described('Number of NVIDIA GPUs of a pod.', v.pipe(v.number(), v.integer(), v.minValue(0))), 0),
  user: v.optional(
    described(
      'Number of the user that pods run as; absent: the image’s.',
      v.pipe(v.number(), v.integer(), v.minValue(0)),
    ),
  ),
  nodeImage: v.optional(
    described(
      'Image that Node is copied out of, since that of the training need not have it.',
      v.pipe(v.string(), v.regex(/^[^\s-]\S*$/)),
    ),
    'node:24-bookworm-slim',
  ),
});

export const engineSchema = v.strictObject({
  type: described('Kind of engine.', v.picklist(ENGINE_TYPES)),
  host: v.optional(
    described(
      'Login node of a cluster, or the host itself, as `ssh` knows it. Absent: this machine reaches the folder by itself.',
      v.pipe(v.string(), v.regex(/^[^\s-][^\s]*$/)),
    ),
  ),
  address: v.optional(
    described(
      'Address of a Ray head’s dashboard, such as `http://127.0.0.1:8265`.',
      v.pipe(v.string(), v.regex(/^https?:\/\/[^\s/]+(\/[^\s]*)?$/)),
    ),
  ),
  folder: v.optional(
    described(
      'Folder that all nodes see, for code, checkpoints and records; on a host `~/trainstash-runs` if absent.',
      folder,
    ),
  ),
  options: v.optional(
    described('Options for the engine’s own command, such as `--partition=gpu`, each in quotes.', v.array(line)),
    [],
  ),
  setup: v.optional(
    described(
      'Lines of shell that each node runs first, such as `module load cuda` or `source venv/bin/activate`.',
      v.array(line),
    ),
    [],
  ),
  grace: v.optional(
    described(
      'Time that a training has after a signal before it is killed, which the cluster decides; 30s if absent.',
      seconds,
    ),
    '30s',
  ),
  atOnce: v.optional(
    described('Number of runs that train on a host at the same time; the others wait there for their turn.', whole),
    1,
  ),
  kubernetes: v.optional(
    described('Image, volume and GPUs of the pods of an engine of the type `kubernetes`.', podSchema),
  ),
  nodes: v.optional(described('Number of nodes of a job.', whole), 1),
  launcher: v.optional(
    described(
      'Program that starts the training’s processes on each node: `torchrun`, `accelerate`, or `plain` for none.',
      v.picklist(LAUNCHERS),
    ),
    'plain',
  ),
  lives: v.optional(
    described(
      'Number of times that a job may begin before it is given up; a life without a new step counts twice.',
      whole,
    ),
    20,
  ),
});
export type EngineConfig = v.InferOutput<typeof engineSchema>;
export type EngineType = (typeof ENGINE_TYPES)[number];

/** Keys that an engine of a kind has to have, and those that mean nothing to it. */
export const ENGINE_KEYS: Readonly<Record<EngineType, { needs: readonly string[]; lacks: readonly string[] }>> = {
  slurm: { needs: ['folder'], lacks: ['address', 'atOnce', 'kubernetes'] },
  ssh: { needs: ['host'], lacks: ['address', 'options', 'nodes', 'kubernetes'] },
  ray: { needs: ['address', 'folder'], lacks: ['atOnce', 'nodes', 'kubernetes'] },
  kubernetes: { needs: ['folder', 'kubernetes'], lacks: ['address', 'atOnce', 'options', 'nodes'] },
};

/** Returns the folder of an engine; `~/` stands for the home folder there. */
export function engineFolder({ folder: given }: Pick<EngineConfig, 'folder'>): string {
  return given ?? '~/trainstash-runs';
}

export const engineNameSchema = v.pipe(
  v.string(),
  v.regex(/^(?!\d+$)[A-Za-z0-9][\w-]{0,31}$/),
  v.check((name) => name !== HERE_NAME, `must not be "${HERE_NAME}", which means this machine`),
);
export const enginesSchema = namedRecord(engineNameSchema, engineSchema);

/** State of a run on an engine, as the engine has told it last. */
export interface EngineState {
  /** Name of the engine. */
  name: string;
  type: EngineType;
  /** Id of the job there; for a task of an array with its number. */
  job: string;
  phase: JobPhase;
  /** The engine's own word for why it waits, such as `Resources`; or that it cannot be reached. May be empty. */
  reason: string;
  /** Nodes that it runs on; may be empty. */
  nodes: string;
  /** Number of its life, from 1. */
  life: number;
  /** Time since which the engine has not answered; null: it does. */
  unknownSince: number | null;
  /** Number of GPUs that the job has asked for, on all its nodes; absent: none, or the engine does not tell. */
  gpus?: number | undefined;
}

/** Node of a cluster. */
export interface EngineNode {
  name: string;
  /** The engine's own word, such as `idle` or `drained`. */
  state: string;
  /** True if it takes jobs. */
  isUsable: boolean;
  gpus: number;
  freeGpus: number;
}

/** Job in the queue of a cluster, whoever has submitted it. */
export interface EngineJob {
  job: string;
  user: string;
  name: string;
  phase: 'pending' | 'running';
  /** The engine's own word for why it waits; may be empty. */
  reason: string;
  nodes: string;
}

/** Load of a cluster, as it tells it: its nodes, and its queue, those that run first. Long lists are cut off; the numbers count all. */
export interface EngineLoad {
  nodes: EngineNode[];
  nodeCount: number;
  gpus: number;
  freeGpus: number;
  queue: EngineJob[];
  running: number;
  pending: number;
}

/**
 * `pending`: it waits, or waits to be started again. `running`: its processes were started. `ended`: it will not start again by
 * itself. `gone`: the engine does not know it any more.
 */
export type JobPhase = 'pending' | 'running' | 'ended' | 'gone';

/** Seconds of a time such as `90s` or `2m`. */
export function secondsOf(text: string): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*(s|m|h)\s*$/.exec(text) ?? [];
  return Number(number) * ({ s: 1, m: 60, h: 3600 }[unit ?? ''] ?? Number.NaN);
}
