/**
 * Puts a command into a container. Folders keep their paths in it, so words, variables and the session's records are the same inside and
 * outside; host's processes and network are shared, so that signals, ranks and debuggers work as without one.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { CONTAINER_PROGRAMS, type Container, type ContainerProgram } from '../protocol/containers.ts';

const LOOK_MS = 10_000;
/** Variables of the person's shell or the scheduler that a training understands; those of the machine stay outside. */
const PASSED =
  /^(TRAINSTASH|SLURM|PBS|LSB|PMI|OMPI|PET|CUDA|NVIDIA|NCCL|GLOO|TORCH|PYTORCH|HF|WANDB|MLFLOW|OMP|MKL|TF|XLA|JAX)_|^PYTHONUNBUFFERED$|^(MASTER_ADDR|MASTER_PORT|RANK|WORLD_SIZE|LOCAL_RANK)$/;

/**
 * Starts the container's program in the place of this shell. Beside it, in a session of its own, waits a process that removes the container
 * once the program has ended, however it ended: a killed program would leave the training alive. Containers that an earlier session of
 * the run has left are removed first.
 */
const SCRIPT = `program=$1 label=$2 name=$3; shift 3
left=$("$program" ps -aq --filter "label=$label" 2> /dev/null)
[ -z "$left" ] || "$program" rm -f $left > /dev/null 2>&1
command -v setsid > /dev/null || setsid() { "$@"; }
setsid sh -c 'while kill -0 "$1" 2> /dev/null; do sleep 1; done; "$2" rm -f "$3"' sh $$ "$program" "$name" < /dev/null > /dev/null 2>&1 &
exec "$program" run --rm --name "$name" --label "$label" "$@"`;

export interface Contained {
  container: Container;
  program: ContainerProgram;
  words: readonly string[];
  cwd: string;
  /** Whole environment of the command, and that of the process which starts it. */
  variables: Readonly<Record<string, string>>;
  ambient: NodeJS.ProcessEnv;
  /** Folders that the command reads and writes. */
  folders: readonly string[];
  /** Folder with the Python package, which it only reads. */
  packages: string;
  session: string;
  /** Names the run and the process among those of its nodes: one container of each lives at a time. */
  run: string;
  user: { uid: number; gid: number } | null;
  hasGpus: { nvidia: boolean; amd: boolean };
}

/** Finds the program to use: the one that the job names, else the first that works here. Throws with the reason of each. */
export function containerProgram({ program }: Pick<Container, 'program'>, env: NodeJS.ProcessEnv): ContainerProgram {
  const reasons: string[] = [];
  for (const one of program ? [program] : CONTAINER_PROGRAMS) {
    // Docker's client is often there without the daemon that it needs.
    const words = one === 'docker' ? ['version', '--format', '{{.Server.Version}}'] : ['--version'];
    const { status, stderr, error } = spawnSync(one, words, { env, encoding: 'utf8', timeout: LOOK_MS });
    if (status === 0) return one;
    const said =
      (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT'
        ? 'not found'
        : stderr?.trim().split('\n').at(-1)?.slice(0, 200);
    reasons.push(`${one}: ${said || error?.message || `ended with ${status}`}`);
  }
  throw new NoContainerProgram(reasons.join('; '));
}

/** Error for a machine on which no program for containers works. */
export class NoContainerProgram extends Error {}

/** Tells which kinds of GPUs the machine has. */
export function gpusHere(): Contained['hasGpus'] {
  return { nvidia: existsSync('/dev/nvidiactl'), amd: existsSync('/dev/kfd') };
}

/** Makes the words that run a command in its container. Pure. */
export function containedWords(setup: Contained): string[] {
  return setup.program === 'apptainer' || setup.program === 'singularity' ? withApptainer(setup) : withEngine(setup);
}

/** Docker and Podman: the container is no child of their program. */
function withEngine(setup: Contained): string[] {
  const { program, container, words, cwd, folders, packages, session, run } = setup;
  const passed = Object.keys(setup.variables).filter(
    (name) => PASSED.test(name) || setup.variables[name] !== setup.ambient[name],
  );
  return [
    '/bin/sh',
    '-c',
    SCRIPT,
    'sh',
    program,
    `trainstash.run=${run}`,
    `trainstash-${session}`,
    // Signals reach the command as without a container: the first process of a process space of its own ignores most of them.
    '--pid=host',
    '--network=host',
    // Workers of a data loader hand their batches over in shared memory, of which a container has little.
    '--ipc=host',
    '--security-opt=label=disable',
    ...userWords(setup),
    ...gpuWords(setup),
    `--workdir=${cwd}`,
    ...unique(folders).map((folder) => `--mount=${mount(folder, false)}`),
    `--mount=${mount(packages, true)}`,
    ...container.mounts.map((one) => `--volume=${pair(one)}`),
    // By name alone: other users see the words of a process.
    ...passed.map((name) => `--env=${name}`),
    ...(passed.includes('HOME') || setup.user?.uid === 0 ? [] : ['--env=HOME=/tmp']),
    '--entrypoint=',
    ...container.options,
    container.image,
    ...words,
  ];
}

/** Files in the project stay the person's own. */
function userWords({ program, user }: Contained): string[] {
  if (!user) return [];
  const words = [`--user=${user.uid}:${user.gid}`];
  return program === 'podman' && user.uid !== 0 ? ['--userns=keep-id', ...words] : words;
}

/** The container sees all GPUs under their usual numbers; CUDA_VISIBLE_DEVICES selects those of the run, as outside. */
function gpuWords({ program, container: { gpus }, hasGpus: { nvidia, amd } }: Contained): string[] {
  if (gpus === 'none') return [];
  if (amd && !nvidia) return ['--device=/dev/kfd', '--device=/dev/dri', '--group-add=video'];
  if (!nvidia && gpus === 'auto') return [];
  return program === 'docker' ? ['--gpus=all'] : ['--device=nvidia.com/gpu=all'];
}

/** Apptainer becomes the command itself, with the person's user, environment and processes. */
function withApptainer({ program, container, words, cwd, folders, packages, hasGpus }: Contained): string[] {
  const { image, gpus, mounts, options } = container;
  const isFile = /^[./]|\.sif$|:\/\//.test(image);
  const isAmd = hasGpus.amd && !hasGpus.nvidia;
  const gpu =
    gpus === 'none' || (gpus === 'auto' && !hasGpus.nvidia && !hasGpus.amd) ? [] : [isAmd ? '--rocm' : '--nv'];
  return [
    program,
    'exec',
    ...gpu,
    `--pwd=${cwd}`,
    ...unique(folders).map((folder) => `--mount=${mount(folder, false)}`),
    `--mount=${mount(packages, true)}`,
    ...mounts.map((one) => `--bind=${pair(one)}`),
    ...options,
    isFile ? image : `docker://${image}`,
    ...words,
  ];
}

/** Makes one value of `--mount`, whose parts are those of a line of CSV. */
function mount(folder: string, isReadOnly: boolean): string {
  const part = (name: string) => {
    const text = `${name}=${folder}`;
    return /[,"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return ['type=bind', part('source'), part('destination'), ...(isReadOnly ? ['ro'] : [])].join(',');
}

/** Completes `/data` to `/data:/data`. */
function pair(text: string): string {
  return text.includes(':') ? text : `${text}:${text}`;
}

/** Leaves out folders inside of others. */
function unique(folders: readonly string[]): string[] {
  const all = [...new Set(folders)];
  return all.filter((one) => !all.some((other) => other !== one && one.startsWith(`${other}/`)));
}
