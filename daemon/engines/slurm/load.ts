/** Reads what Slurm prints about its nodes and its whole queue. Pure. */
import type { EngineJob, EngineLoad, EngineNode } from '../../../protocol/engines.ts';
import { type Columns, cells, gpusIn } from './states.ts';

const NODE_COLUMNS: Columns = [
  ['NodeList', 60],
  ['StateLong', 24],
  ['Gres', 160],
  ['GresUsed', 240],
];
const QUEUE_COLUMNS: Columns = [
  ['JobID', 40],
  ['UserName', 32],
  ['Name', 60],
  ['State', 24],
  ['Reason', 60],
  ['NodeList', 200],
];
/** Numbers of nodes and of jobs that are listed: a list of thousands says nothing to a person. */
const MOST_NODES = 100;
const MOST_JOBS = 100;
/** States in which a node takes jobs, and may have GPUs to give. A mark behind them says that it does not answer, or is switched off. */
const GIVES = /^(idle|mixed)$/;
const USABLE = /^(idle|mixed|allocated|completing)\+?$/;

export const NODE_WORDS = ['sinfo', '--Node', '--noheader', `--Format=${formatOf(NODE_COLUMNS)}`];
/** Words for the queue: arrays are one line each, and those come first that start next. */
export const QUEUE_WORDS = ['squeue', '--noheader', '--sort=-p,i', `--Format=${formatOf(QUEUE_COLUMNS)}`];

function formatOf(columns: Columns): string {
  return columns.map(([name, width]) => `${name}:${width}`).join(',');
}

/** Puts both answers together. */
export function loadOf(nodesPrinted: string, queuePrinted: string): EngineLoad {
  const nodes = nodesIn(nodesPrinted);
  const jobs = jobsIn(queuePrinted);
  const running = jobs.filter(({ phase }) => phase === 'running');
  const pending = jobs.filter(({ phase }) => phase === 'pending');
  const sum = (of: (node: EngineNode) => number) => nodes.reduce((all, node) => all + of(node), 0);
  return {
    // Those that can be had, and those that are broken, are worth more than the middle of a long list.
    nodes: nodes.sort((a, b) => b.freeGpus - a.freeGpus).slice(0, MOST_NODES),
    nodeCount: nodes.length,
    gpus: sum(({ gpus }) => gpus),
    freeGpus: sum(({ freeGpus }) => freeGpus),
    queue: [...running, ...pending].slice(0, MOST_JOBS),
    running: running.length,
    pending: pending.length,
  };
}

/** Lists each node once: `sinfo` names it once for each partition. */
function nodesIn(printed: string): EngineNode[] {
  const nodes = new Map<string, EngineNode>();
  for (const line of printed.split('\n')) {
    const [name, state, all, used] = cells(line, NODE_COLUMNS);
    if (!name) continue;
    const gpus = gpusIn(all!);
    const freeGpus = GIVES.test(state!) ? Math.max(0, gpus - gpusIn(used!)) : 0;
    nodes.set(name, { name, state: state!, isUsable: USABLE.test(state!), gpus, freeGpus });
  }
  return [...nodes.values()];
}

function jobsIn(printed: string): EngineJob[] {
  return printed.split('\n').flatMap((line) => {
    const [job, user, name, state, why, nodes] = cells(line, QUEUE_COLUMNS);
    if (!job) return [];
    const phase = state === 'PENDING' ? 'pending' : 'running';
    const reason = phase === 'pending' && why !== 'None' ? why! : '';
    return [{ job, user: user!, name: name!, phase, reason, nodes: nodes! }];
  });
}
