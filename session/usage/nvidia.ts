/** Use of NVIDIA's GPUs: one `nvidia-smi` prints a line for each GPU at each interval. Starting it each time would cost more. */
import { type ChildProcess, spawn } from 'node:child_process';

const FIELDS = 'index,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu';
const MIB = 2 ** 20;
/** Time after which it is started again when it ended by itself, as after a driver was reset. */
const AGAIN_MS = 60_000;

export interface GpuUse {
  index: number;
  /** Share of the time in which a kernel ran, from 0 to 1; null: not told. */
  busy: number | null;
  memoryBytes: number | null;
  totalBytes: number | null;
  watts: number | null;
  celsius: number | null;
}

export class NvidiaWatch {
  readonly #last = new Map<number, GpuUse>();
  readonly #intervalMs: number;
  readonly #only: readonly number[] | null;
  #child: ChildProcess | null = null;
  #again: NodeJS.Timeout | null = null;
  #rest = '';
  #isOver = false;

  /** Starts watching. `only`: the GPUs that the run was given; null: all. */
  constructor(intervalMs: number, only: readonly number[] | null) {
    this.#intervalMs = intervalMs;
    this.#only = only;
    this.#start();
  }

  /** Newest values of each GPU; empty without one. */
  get last(): GpuUse[] {
    return [...this.#last.values()].sort((a, b) => a.index - b.index);
  }

  close(): void {
    this.#isOver = true;
    if (this.#again) clearTimeout(this.#again);
    this.#child?.kill();
  }

  #start(): void {
    const words = [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits', `--loop-ms=${this.#intervalMs}`];
    const child = spawn('nvidia-smi', words, { stdio: ['ignore', 'pipe', 'ignore'], windowsHide: true });
    this.#child = child;
    let isThere = true;
    child.on('error', () => {
      // There is no such program: this machine has no such GPU.
      isThere = false;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    child.on('close', () => {
      this.#last.clear();
      if (this.#isOver || !isThere) return;
      this.#again = setTimeout(() => this.#start(), AGAIN_MS);
      this.#again.unref();
    });
    child.unref();
    (child.stdout as unknown as { unref?(): void }).unref?.();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!.slice(-1_000);
    for (const line of lines) {
      const use = parseLine(line);
      if (use && (this.#only === null || this.#only.includes(use.index))) this.#last.set(use.index, use);
    }
  }
}

/** Parses one line; null: it is of another form. `[N/A]` and `[Not Supported]` are unknown. */
export function parseLine(line: string): GpuUse | null {
  const [index, busy, memory, total, watts, celsius] = line.split(',').map((cell) => cell.trim());
  if (!/^\d+$/.test(index ?? '') || celsius === undefined) return null;
  const number = (cell: string | undefined) => (/^-?\d+(\.\d+)?$/.test(cell ?? '') ? Number(cell) : null);
  const times = (value: number | null, factor: number) => (value === null ? null : value * factor);
  return {
    index: Number(index),
    busy: times(number(busy), 0.01),
    memoryBytes: times(number(memory), MIB),
    totalBytes: times(number(total), MIB),
    watts: number(watts),
    celsius: number(celsius),
  };
}
