/** Words that start a training's processes on several devices or nodes, each node by itself. Pure but for the environment. */
import { isPython, placeOfScript } from '../../base/python-words.ts';
import type { Allocation } from '../../protocol/allocation.ts';
import type { Task } from '../../protocol/task.ts';

/** Range of ports for the meeting of the nodes; the job's number selects one, so that two jobs of a node differ. */
const FIRST_PORT = 20_000;
const PORTS = 20_000;

export interface NodeFacts {
  allocation: Allocation | null;
  /** Number of this node among those of the job. */
  rank: number;
  /** Name of the first node. */
  head: string;
  /** Number of processes on each node. */
  processes: number;
}

export function nodeFacts(allocation: Allocation | null, rank: number): NodeFacts {
  const { TRAINSTASH_HEAD: head, SLURM_GPUS_ON_NODE: gpus } = process.env;
  return { allocation, rank, head: head ?? 'localhost', processes: /^[1-9]\d*$/.test(gpus ?? '') ? Number(gpus) : 1 };
}

/** Puts the launcher before a script, which Python then runs through it. Other commands stay as they are. */
export function launched(words: readonly string[], { launcher, nodes }: Task, facts: NodeFacts): string[] {
  const at = placeOfScript(words);
  // Options of the interpreter stay its own: launchers do not know them.
  const [python, script] = [words.slice(0, at), words.slice(at)];
  const { allocation, rank, head, processes } = facts;
  if (launcher === 'plain' || !isPython(words[0] ?? '')) return [...words];
  const port = FIRST_PORT + ((Number(allocation?.job) || 0) % PORTS);
  if (launcher === 'accelerate') {
    const where = ['--num_machines', nodes, '--machine_rank', rank, '--num_processes', nodes * processes];
    const meeting = ['--main_process_ip', head, '--main_process_port', port];
    return [...python, '-m', 'accelerate.commands.launch', ...[...where, ...meeting].map(String), ...script];
  }
  // With underscores, which every version of torchrun reads: hyphens are understood from 2.0 on.
  const id = `${allocation?.job ?? 'here'}-${allocation?.restart ?? 0}`;
  const meeting =
    nodes === 1 ? ['--standalone'] : ['--rdzv_backend=c10d', `--rdzv_id=${id}`, `--rdzv_endpoint=${head}:${port}`];
  return [
    ...python,
    '-m',
    'torch.distributed.run',
    `--nnodes=${nodes}`,
    `--nproc_per_node=${processes}`,
    ...meeting,
    ...script,
  ];
}
