/** Shows the load of the GPUs while somebody looks, from one `nvidia-smi`; without it, nothing. Does not use `vscode`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const SECONDS = 2;
const QUERY = 'index,name,utilization.gpu,memory.used,memory.total';

export class DeviceWatch {
  readonly #tell: (text: string) => void;
  #process: ChildProcess | null = null;

  /** Creates a watch. `tell` gets one line for all GPUs; empty: unknown. */
  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  set looking(value: boolean) {
    if (value && !this.#process) this.#start();
    else if (!value) this.#stop();
  }

  #start(): void {
    const words = [`--query-gpu=${QUERY}`, '--format=csv,noheader,nounits', '-l', String(SECONDS)];
    const child = spawn('nvidia-smi', words, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#process = child;
    const gpus = new Map<string, string>();
    child.on('error', () => this.#tell(''));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const text = describe(line);
      if (!text) return;
      gpus.set(text.index, text.words);
      this.#tell([...gpus.values()].join(' · '));
    });
  }

  #stop(): void {
    this.#process?.kill();
    this.#process = null;
  }
}

/** Parses a line; null for one without numbers (`[N/A]`): no value is better than a wrong one. */
function describe(line: string): { index: string; words: string } | null {
  const [index, name, busy, used, total] = line.split(',').map((part) => part.trim());
  const numbers = [busy, used, total].map(Number);
  if (index === undefined || name === undefined || numbers.some((number) => !Number.isFinite(number))) return null;
  const gigabytes = numbers.slice(1).map((mebibytes) => (mebibytes / 1024).toFixed(1));
  return { index, words: `${name} ${numbers[0]}%, ${gigabytes[0]} of ${gigabytes[1]} GiB` };
}
