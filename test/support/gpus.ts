/**
 * GPUs for machines without one: an `nvidia-smi` on the PATH with the tables of the real one, and files whose locks stand for their
 * memory. A process that takes a device's lock twice fails, as it would for lack of memory.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Gpus {
  /** Folder that programs find in the variable `GPUS`. */
  folder: string;
  /** Variables for a daemon and for runs. */
  env: Record<string, string>;
  /** Changes the GPUs that `nvidia-smi` lists. */
  set(indices: readonly number[]): void;
  /** Makes `nvidia-smi` fail, as it does after an update of the driver. */
  fail(): void;
  /** Notes that a process of somebody else uses a GPU; returns a way to end that. */
  occupy(index: number, pid: number): () => void;
  /** Puts a `cuda-checkpoint` beside `nvidia-smi`, and a driver into the processes that start from now on. */
  addMover(): Mover;
  /** Processes that hold a GPU. */
  users(index: number): number[];
}

/**
 * The program: it lists the folders `gpu-N`, and the processes whose ids are file names in them, while they live. A file has the start of
 * its process, since ids are given again; an empty one is of any.
 */
const PROGRAM = `#!/bin/sh
folder=$(dirname "$0")
[ -e "$folder/broken" ] && { echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18; }
for index in $(cat "$folder/indices"); do
  used=0
  size=$(cat "$folder/used" 2>/dev/null || echo 4096)
  for file in "$folder/gpu-$index"/[0-9]*; do
    [ -e "$file" ] || continue
    pid=\${file##*/}
    kill -0 "$pid" 2>/dev/null || continue
    started=$(cat "$file")
    # A dead process that nobody has collected holds no memory.
    [ -z "$started" ] || case "$(cat "/proc/$pid/stat" 2>/dev/null)" in *") Z "*) continue ;; *" $started "*) ;; *) continue ;; esac
    used=$size
    case "$*" in *compute-apps*) echo "GPU-$index-fake, $pid";; esac
  done
  case "$*" in *query-gpu*) echo "$index, GPU-$index-fake, NVIDIA H200, 143771, $used";; esac
done
`;

export interface Mover {
  /** Calls so far, without the questions for a state. */
  actions(): string[];
  /** Makes an action take a second. */
  slow(action: 'checkpoint' | 'restore'): void;
  /** Makes an action fail: `refused` leaves the process as it was, `failed` in the state of that name; with `pid` only that one. Returns a way to end that. */
  fail(action: 'lock' | 'checkpoint' | 'restore' | 'unlock', how: 'refused' | 'failed', pid?: number): () => void;
}

/** The program with the command line of NVIDIA's. What it asks for does a thread in the process itself (`gpus.py`), as a driver does. */
const MOVER = `#!/bin/sh
folder=$(dirname "$0")/driver
operation=$1; shift
case $operation in --action) action=$1; shift;; esac
[ "$1" = --pid ] || { echo "unknown option $1" >&2; exit 2; }
pid=$2
[ -e "$folder/$pid.state" ] || { echo "Process $pid has no CUDA state" >&2; exit 1; }
case $operation in
  --get-state) cat "$folder/$pid.state"; exit;;
  --action) ;;
  *) echo "unknown operation $operation" >&2; exit 2;;
esac
echo "$action" >> "$folder/actions"
echo "$action" > "$folder/$pid.new" && mv "$folder/$pid.new" "$folder/$pid.do"
while [ -e "$folder/$pid.do" ]; do sleep 0.02; done
said=$(cat "$folder/$pid.done")
[ "$said" = ok ] || { echo "$said" >&2; exit 1; }
`;

/** Makes GPUs in a folder. */
export function makeGpus(folder: string, indices: readonly number[]): Gpus {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'nvidia-smi'), PROGRAM);
  chmodSync(join(folder, 'nvidia-smi'), 0o755);
  const set = (listed: readonly number[]) => {
    for (const index of listed) mkdirSync(join(folder, `gpu-${index}`), { recursive: true });
    rmSync(join(folder, 'broken'), { force: true });
    writeFileSync(join(folder, 'indices'), listed.join('\n'));
  };
  set(indices);
  return {
    folder,
    env: { PATH: `${folder}${delimiter}${process.env.PATH}`, GPUS: folder },
    set,
    fail: () => writeFileSync(join(folder, 'broken'), ''),
    occupy(index, pid) {
      const file = join(folder, `gpu-${index}`, String(pid));
      writeFileSync(file, '');
      return () => rmSync(file, { force: true });
    },
    addMover() {
      const driver = join(folder, 'driver');
      mkdirSync(driver, { recursive: true });
      writeFileSync(join(folder, 'cuda-checkpoint'), MOVER, { mode: 0o755 });
      return {
        actions: () => linesOf(join(driver, 'actions')),
        slow: (action) => writeFileSync(join(driver, `slow-${action}`), ''),
        fail(action, how, pid) {
          const file = join(driver, pid === undefined ? `fail-${action}` : `fail-${action}-${pid}`);
          writeFileSync(file, how);
          return () => rmSync(file, { force: true });
        },
      };
    },
    users: (index) =>
      readdirSync(join(folder, `gpu-${index}`))
        .filter((name) => /^\d+$/.test(name))
        .filter((pid) => isAlive(pid, readFileSync(join(folder, `gpu-${index}`, pid), 'utf8')))
        .map(Number),
  };
}

function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}

function isAlive(pid: string, started: string): boolean {
  try {
    const about = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^\d+ \(.*\) Z/.test(about) && (started === '' || about.includes(` ${started} `));
  } catch {
    return false;
  }
}
