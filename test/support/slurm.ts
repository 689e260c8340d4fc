/** A real Slurm of the test's own: its daemons on this machine, as root, without systemd. Two nodes, two partitions. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { installFromDebian } from '../../scripts/debian.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder, until } from './folder.ts';
import { freePort } from './s3-servers.ts';

const SLURMCTLD = '/usr/sbin/slurmctld';
const PACKAGES = ['slurmctld', 'slurmd', 'slurm-client', 'munge'];

export interface SlurmOptions {
  nodes?: number;
  /** Seconds between SIGTERM and SIGKILL. */
  graceSeconds?: number;
  /** False: `JobRequeue=0`. */
  requeues?: boolean;
  /** Settings added to slurm.conf. */
  settings?: string;
  /** Number of GPUs that each node counts; there is no device behind them. */
  gpus?: number;
}

export interface Slurm {
  folder: string;
  /** Variables with which Slurm's commands find it. */
  variables: { SLURM_CONF: string };
  /** Runs one of Slurm's commands, and returns what it prints. */
  call(program: string, ...args: string[]): string;
  /** Returns the fields of a job, as `scontrol show job` names them; null: it is forgotten. */
  job(id: string): Record<string, string> | null;
  pidOf(daemon: 'munged' | 'slurmctld' | `slurmd-${string}`): number;
  startDaemon(daemon: 'munged' | 'slurmctld' | `slurmd-${string}`): void;
}

/** Tells why there is no Slurm here; null: there is. */
export function whyNoSlurm(install = false): string | null {
  if (process.getuid?.() !== 0) return 'a Slurm of the test’s own needs root';
  if (install && !(existsSync(SLURMCTLD) && existsSync('/usr/sbin/munged'))) installFromDebian(...PACKAGES);
  const isThere = existsSync(SLURMCTLD) && existsSync('/usr/sbin/munged') && existsSync('/usr/sbin/slurmd');
  return isThere ? null : 'there is no Slurm (as root on Debian it is installed)';
}

/** Starts a cluster, and ends it after the test. */
export async function slurm(options: SlurmOptions = {}): Promise<Slurm> {
  const folder = temporaryFolder();
  const nodes = Array.from({ length: options.nodes ?? 1 }, (_, i) => `n${i + 1}`);
  await configure(folder, nodes, options);
  const variables = { SLURM_CONF: join(folder, 'slurm.conf') };
  const env = { ...process.env, ...variables };
  const call = (program: string, ...args: string[]) => execFileSync(program, args, { env, encoding: 'utf8' });
  const cluster: Slurm = {
    folder,
    variables,
    call,
    job: (id) => {
      const { status, stdout } = spawnSync('scontrol', ['show', 'job', '-o', id], { env, encoding: 'utf8' });
      if (status !== 0) return null;
      return Object.fromEntries([...stdout.matchAll(/(\w+)=(\S*)/g)].map(([, name, value]) => [name!, value!]));
    },
    pidOf: (daemon) => Number(readFileSync(join(folder, `${daemon}.pid`), 'utf8')),
    startDaemon: (daemon) => startDaemon(daemon, folder, env),
  };
  afterwards(() => stop(cluster, nodes));
  for (const daemon of ['munged', 'slurmctld', ...nodes.map((node) => `slurmd-${node}` as const)] as const)
    cluster.startDaemon(daemon);
  await until('the nodes are idle', () => {
    const { stdout } = spawnSync('sinfo', ['-h', '-t', 'idle', '-p', 'spot', '-o', '%D'], { env, encoding: 'utf8' });
    return stdout.trim() === String(nodes.length);
  });
  return cluster;
}

async function configure(folder: string, nodes: readonly string[], options: SlurmOptions): Promise<void> {
  const { graceSeconds = 30, requeues = true, settings = '', gpus = 0 } = options;
  for (const name of ['ctld', 'munge', 'log', ...nodes.map((node) => `spool-${node}`)])
    mkdirSync(join(folder, name), { recursive: true });
  chmodSync(folder, 0o755);
  chmodSync(join(folder, 'munge'), 0o700);
  writeFileSync(join(folder, 'munge/key'), randomBytes(128), { mode: 0o600 });
  const host = hostname().split('.')[0]!;
  const lines = [
    'ClusterName=test',
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${await freePort()}`,
    'SlurmUser=root',
    'SlurmdUser=root',
    'AuthType=auth/munge',
    // A requeued job waits for the life of its credential: two minutes by default, and no less than this.
    `AuthInfo=socket=${folder}/munge/socket,cred_expire=5`,
    'CredType=cred/munge',
    `StateSaveLocation=${folder}/ctld`,
    `SlurmdSpoolDir=${folder}/spool-%n`,
    `SlurmctldPidFile=${folder}/slurmctld.pid`,
    `SlurmdPidFile=${folder}/slurmd-%n.pid`,
    `SlurmctldLogFile=${folder}/log/slurmctld`,
    `SlurmdLogFile=${folder}/log/slurmd-%n`,
    'ProctrackType=proctrack/linuxproc',
    'TaskPlugin=task/none',
    'JobAcctGatherType=jobacct_gather/none',
    'AccountingStorageType=accounting_storage/none',
    'MpiDefault=none',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core',
    'SchedulerType=sched/backfill',
    'SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0',
    'PreemptType=preempt/partition_prio',
    'PreemptMode=REQUEUE',
    'ReturnToService=2',
    `KillWait=${graceSeconds}`,
    'MinJobAge=600',
    `JobRequeue=${requeues ? 1 : 0}`,
    'SlurmdTimeout=5',
    ...(gpus > 0 ? ['GresTypes=gpu'] : []),
    settings,
  ];
  // Files in the place of devices: Slurm counts them, and nothing opens them.
  const devices = Array.from({ length: gpus }, (_, i) => join(folder, `gpu${i}`));
  for (const device of devices) writeFileSync(device, '');
  if (gpus > 0)
    writeFileSync(join(folder, 'gres.conf'), `AutoDetect=off\nName=gpu Type=a100 File=${folder}/gpu[0-${gpus - 1}]\n`);
  const counted = gpus > 0 ? ` Gres=gpu:a100:${gpus}` : '';
  for (const node of nodes)
    lines.push(
      `NodeName=${node} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${await freePort()} CPUs=2 RealMemory=2000${counted} State=UNKNOWN`,
    );
  lines.push(
    `PartitionName=spot Nodes=ALL Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=${graceSeconds}`,
    'PartitionName=urgent Nodes=ALL MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF',
  );
  writeFileSync(join(folder, 'slurm.conf'), `${lines.join('\n')}\n`);
}

function startDaemon(daemon: string, folder: string, env: NodeJS.ProcessEnv): void {
  const run = (program: string, args: string[]) => execFileSync(program, args, { env, stdio: 'ignore' });
  if (daemon === 'munged') {
    const file = (option: string, name: string) => `--${option}=${join(folder, name)}`;
    run('/usr/sbin/munged', [
      '--force',
      file('key-file', 'munge/key'),
      file('socket', 'munge/socket'),
      file('pid-file', 'munged.pid'),
      file('log-file', 'log/munged'),
      file('seed-file', 'munge/seed'),
    ]);
  } else if (daemon === 'slurmctld') run(SLURMCTLD, ['-f', join(folder, 'slurm.conf')]);
  else run('/usr/sbin/slurmd', ['-f', join(folder, 'slurm.conf'), '-N', daemon.slice('slurmd-'.length)]);
}

/** Cancels all jobs, so that none of their processes stays, and ends the daemons. */
async function stop(cluster: Slurm, nodes: readonly string[]): Promise<void> {
  const env = { ...process.env, ...cluster.variables };
  spawnSync('scancel', ['--signal=KILL', '--full', '--user=root'], { env, stdio: 'ignore', timeout: 10_000 });
  spawnSync('scancel', ['--user=root'], { env, stdio: 'ignore', timeout: 10_000 });
  await until('no job has processes', () => {
    const { status, stdout } = spawnSync('squeue', ['-h', '-o', '%t'], { env, encoding: 'utf8', timeout: 10_000 });
    return status !== 0 || stdout.trim() === '';
  }).catch(() => {});
  for (const daemon of [...nodes.map((node) => `slurmd-${node}` as const), 'slurmctld', 'munged'] as const) {
    try {
      process.kill(cluster.pidOf(daemon), 'SIGTERM');
    } catch {
      // It has ended already.
    }
  }
  await until(
    'the controller has ended',
    () => !existsSync(join(cluster.folder, 'slurmctld.pid')) || !isAlive(cluster),
  );
}

function isAlive(cluster: Slurm): boolean {
  try {
    process.kill(cluster.pidOf('slurmctld'), 0);
    return true;
  } catch {
    return false;
  }
}
