/** Times steps of four models on each available TensorFlow.js backend, plain JavaScript, and PyTorch on one thread. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { type TensorFlow, tensorflowVariables } from '../daemon/backend-selection/tensorflow.ts';
import { torchPython } from '../scripts/python.ts';
import { softwareGpu } from '../scripts/software-gpu.ts';
import { realTensorFlow } from '../test/support/tensorflow.ts';
import { MODELS, type ModelName } from './backend-models.ts';
import { alternate, type Result, times } from './measure.ts';

const ROUNDS = 10;
/** Rounds of plain JavaScript and of an emulated GPU, which take seconds per step. */
const SLOW_ROUNDS = 2;
/** Steps per round: a tenth of a second or more. */
const STEPS: Record<ModelName, number> = { mlp: 15, conv: 5, lstm: 5, transformer: 8 };
/** Maximum times relative to PyTorch. */
const GOALS: Partial<Record<ModelName, number>> = { mlp: 4, conv: 8, lstm: 4 };
const NATIVE_GOALS: Partial<Record<ModelName, number>> = { conv: 1.5, lstm: 3 };
const WEBGPU = resolve(import.meta.dirname, '../node_modules/webgpu');

export async function backendBenchmarks(): Promise<Result[]> {
  const python = torchPython(true);
  const gpu = softwareGpu(true);
  const wasm = await Side.backend('wasm');
  const others: [name: string, side: Side, what: string, rounds: number][] = [
    ['threads', await Side.backend('wasm', 2), 'wasm with two threads', ROUNDS],
    ['cpu', await Side.backend('cpu'), 'plain JavaScript', SLOW_ROUNDS],
  ];
  const webgpu = await Side.backend('webgpu', 1, WEBGPU, gpu ?? {}).catch(() => null);
  if (webgpu) others.push(['webgpu', webgpu, `webgpu on ${webgpu.device}`, SLOW_ROUNDS]);
  const torch = python ? Side.python(python) : null;
  const tensorflow = realTensorFlow();
  const native = tensorflow ? await Side.tensorflow(tensorflow) : null;
  const results: Result[] = [];
  try {
    for (const model of MODELS) {
      const steps = STEPS[model];
      const ours = async () => (await wasm.seconds(model, steps)) / steps;
      if (torch) {
        const both = await alternate(ROUNDS, ours, async () => (await torch.seconds(model, steps)) / steps);
        results.push(times(`backends.${model}`, both, 'PyTorch, one thread', GOALS[model]));
      }
      if (torch && native) {
        const library = async () => (await native.seconds(model, steps)) / steps;
        const both = await alternate(ROUNDS, library, async () => (await torch.seconds(model, steps)) / steps);
        results.push(times(`backends.native-${model}`, both, 'PyTorch, one thread', NATIVE_GOALS[model]));
      }
      for (const [name, side, what, rounds] of others) {
        const count = rounds === SLOW_ROUNDS ? 1 : steps;
        const both = await alternate(rounds, ours, async () => (await side.seconds(model, count)) / count);
        results.push(times(`backends.${model}-${name}`, both, what));
      }
    }
  } finally {
    for (const side of [wasm, torch, native, ...others.map(([, side]) => side)]) side?.end();
  }
  return results;
}

class Side {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  device = '';

  private constructor(program: string, words: string[], env: NodeJS.ProcessEnv) {
    // OpenBLAS then chooses the kernel for this processor.
    const { OPENBLAS_CORETYPE: _, OPENBLAS_L2_SIZE: __, ...rest } = env;
    this.#child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'], env: rest });
    this.#reader = createInterface({ input: this.#child.stdout! });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async backend(name: string, threads = 1, from = '', env: NodeJS.ProcessEnv = {}): Promise<Side> {
    const words = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'backends-child.ts')];
    const side = new Side(process.execPath, [...words, name, String(threads), from], { ...process.env, ...env });
    const environment = JSON.parse(await side.#line((text) => text.startsWith('{'))) as { device: string };
    side.device = environment.device;
    return side;
  }

  /** Starts TensorFlow's library on one thread, as PyTorch has. */
  static tensorflow({ folder }: TensorFlow): Promise<Side> {
    const own = {
      ...tensorflowVariables(folder, process.env as Record<string, string>),
      TF_NUM_INTRAOP_THREADS: '1',
      TF_NUM_INTEROP_THREADS: '1',
    };
    return Side.backend('tensorflow', 1, folder, own);
  }

  static python(python: string): Side {
    return new Side(python, ['-W', 'ignore', join(import.meta.dirname, 'backend_models.py')], process.env);
  }

  async seconds(model: ModelName, steps: number): Promise<number> {
    this.#child.stdin!.write(`${model} ${steps}\n`);
    return Number(await this.#line((text) => /^[\d.e-]+$/.test(text)));
  }

  end(): void {
    this.#reader.close();
    this.#child.kill();
  }

  /** Returns the next line of our own: TensorFlow.js prints a greeting to stdout. */
  async #line(isOurs: (text: string) => boolean): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error('the other side of the benchmark has ended');
      if (isOurs(value)) return value;
    }
  }
}
