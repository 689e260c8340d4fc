/**
 * Writes the model, filled from a checkpoint, in a format of other tools, and runs the same samples through both. No
 * training follows.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { io, Tensor } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { writeJson } from '../base/files.ts';
import { type Topology, toOnnx } from '../formats/onnx/convert.ts';
import { TooLarge } from '../formats/onnx/graph.ts';
import { UnsupportedLayer } from '../formats/onnx/values.ts';
import { TrainstashError } from '../protocol/errors.ts';
import type { ExportRecord, Launch } from '../protocol/session.ts';
import type { Assembly } from './assemble.ts';
import { isLayersModel, layerWeights } from './model.ts';
import { layers, tf } from './tf.ts';

const SAMPLES = 8;
const SHARD_BYTES = 4 << 20;

/**
 * Exports the model to `directory`, which it creates; `export.json` in it records the files and how close the outputs
 * are.
 */
export async function exportModel(assembly: Assembly, launch: Launch, directory: string): Promise<void> {
  const model = assembly.userModel;
  const format = launch.exportAs!;
  if (!isLayersModel(model))
    throw unavailable(format, 'its model is made of variables and a function, not of layers', launch);
  mkdirSync(directory, { recursive: true });
  const samples = await sampleInputs(assembly);
  const record =
    format === 'tfjs' ? await writeTfjs(model, samples, directory) : await writeOnnx(model, samples, directory, launch);
  writeJson(join(directory, 'export.json'), record);
}

function unavailable(format: string, reason: string, launch: Launch): TrainstashError {
  return new TrainstashError(
    'formatUnavailable',
    `It cannot be exported as ${format}: ${reason}. Nothing was written; safetensors and npz support every model.`,
    {
      format,
      available: ['safetensors', 'npz', 'pdparams', 'original', ...(launch.exportAs === 'onnx' ? ['tfjs'] : [])],
    },
  );
}

/** Takes a few samples of the first batch; null where there is none. */
async function sampleInputs({ data, feed }: Assembly): Promise<Tensor | null> {
  const source = data.validation ?? data.train;
  if ('x' in source) return head(source.x);
  if ('batch' in source && 'length' in source) {
    const count = Math.min(SAMPLES, source.length);
    return head((await source.batch(Int32Array.from({ length: count }, (_, i) => i))).x);
  }
  const batch = await feed.batch(0, 0);
  return batch && head(batch.x);
}

function head(x: Tensor): Tensor {
  const count = Math.min(SAMPLES, x.shape[0] ?? 1);
  return tf.slice(x, 0, count);
}

async function writeTfjs(model: LayersModel, samples: Tensor | null, directory: string): Promise<ExportRecord> {
  const names: string[] = ['model.json'];
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      const bytes = new Uint8Array(tf.io.CompositeArrayBuffer.join(artifacts.weightData));
      const shards: string[] = [];
      const count = Math.max(1, Math.ceil(bytes.length / SHARD_BYTES));
      for (let i = 0; i < count; i++) {
        const name = `group1-shard${i + 1}of${count}.bin`;
        writeFileSync(join(directory, name), bytes.subarray(i * SHARD_BYTES, (i + 1) * SHARD_BYTES));
        shards.push(name);
      }
      names.push(...shards);
      const { modelTopology, weightSpecs, format, generatedBy, convertedBy } = artifacts;
      const weightsManifest = [{ paths: shards, weights: weightSpecs }];
      const text = JSON.stringify({ modelTopology, format, generatedBy, convertedBy, weightsManifest });
      writeFileSync(join(directory, 'model.json'), text);
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    }),
  );
  const again = await layers.loadLayersModel(fromFiles(directory));
  const difference = samples && (await compare(model, samples, (x) => [again.predict(x)].flat()));
  return {
    names,
    notes: [],
    parity: parityOf(difference, samples, `TensorFlow.js ${tf.version_core}`),
  };
}

/** Loads the files as another reader would. */
function fromFiles(directory: string): io.IOHandler {
  return {
    async load() {
      const json = JSON.parse(readFileSync(join(directory, 'model.json'), 'utf8')) as io.ModelJSON;
      const [group] = json.weightsManifest;
      const bytes = Buffer.concat(group!.paths.map((name) => readFileSync(join(directory, name))));
      return {
        modelTopology: json.modelTopology,
        weightSpecs: group!.weights,
        weightData: Uint8Array.from(bytes).buffer,
      };
    },
  };
}

async function writeOnnx(
  model: LayersModel,
  samples: Tensor | null,
  directory: string,
  launch: Launch,
): Promise<ExportRecord> {
  const path = join(directory, 'model.onnx');
  try {
    const topology = model.toJSON(null, false) as unknown as Topology;
    const weights = await layerWeights(model);
    const message = toOnnx(topology, (layer) => weights.get(layer) ?? {}, {
      'trainstash.checkpoint': launch.resume?.checkpoint ?? '',
      'trainstash.step': String(launch.resume?.step ?? 0),
    });
    writeFileSync(path, message.bytes());
  } catch (error) {
    if (error instanceof UnsupportedLayer)
      throw unavailable('onnx', `ONNX export does not support ${error.message}`, launch);
    if (error instanceof TooLarge) throw unavailable('onnx', error.message, launch);
    throw error;
  }
  const runtime = await findRuntime(launch);
  if (!runtime)
    return {
      names: ['model.onnx'],
      notes: [],
      parity: {
        largestDifference: null,
        samples: 0,
        runtime: 'onnxruntime',
        why: 'The project has neither onnxruntime-node nor onnxruntime-web, so the file was not run.',
      },
    };
  const difference =
    samples &&
    (await compare(model, samples, async (x) => {
      const session = await runtime.module.InferenceSession.create(path);
      const [name] = session.inputNames;
      const isInteger = model.inputs[0]!.dtype === 'int32';
      const data = isInteger ? Int32Array.from(await x.data()) : Float32Array.from(await x.data());
      const input = new runtime.module.Tensor(isInteger ? 'int32' : 'float32', data, x.shape);
      const output = await session.run({ [name!]: input });
      return session.outputNames.map((one) => tf.tensor(output[one]!.data as Float32Array, [...output[one]!.dims]));
    }));
  return { names: ['model.onnx'], notes: [], parity: parityOf(difference, samples, runtime.name) };
}

function parityOf(difference: number | null, samples: Tensor | null, runtime: string): ExportRecord['parity'] {
  if (difference === null || samples === null)
    return {
      largestDifference: null,
      samples: 0,
      runtime,
      why: 'There was no sample of the data, or the model has several inputs.',
    };
  if (difference === Number.POSITIVE_INFINITY)
    return {
      largestDifference: null,
      samples: samples.shape[0] ?? 0,
      runtime,
      why: 'The outputs cannot be compared: one has NaN, an infinity or another shape where the other does not.',
    };
  return { largestDifference: difference, samples: samples.shape[0] ?? 0, runtime, why: '' };
}

/**
 * Returns the largest difference of any output element, infinite where only one is finite; null: the model needs more
 * inputs than the data's `x`.
 */
async function compare(
  model: LayersModel,
  x: Tensor,
  other: (x: Tensor) => Tensor[] | Promise<Tensor[]>,
): Promise<number | null> {
  if (model.inputs.length !== 1) return null;
  const ours = [model.predict(x)].flat();
  const theirs = await other(x);
  let largest = 0;
  for (const [i, tensor] of ours.entries()) {
    const [a, b] = [await tensor.data(), await theirs[i]!.data()];
    if (a.length !== b.length) return Number.POSITIVE_INFINITY;
    for (let k = 0; k < a.length; k++) {
      // Equal infinities and two NaN are no difference.
      const difference = Object.is(a[k], b[k]) ? 0 : Math.abs(a[k]! - b[k]!);
      largest = Number.isFinite(difference) ? Math.max(largest, difference) : Number.POSITIVE_INFINITY;
    }
  }
  return largest;
}

/** Parts of onnxruntime's types that are used here. */
interface Runtime {
  Tensor: new (type: string, data: Float32Array | Int32Array, dims: readonly number[]) => object;
  InferenceSession: {
    create(path: string): Promise<{
      inputNames: readonly string[];
      outputNames: readonly string[];
      run(feeds: Record<string, object>): Promise<Record<string, { data: ArrayLike<number>; dims: readonly number[] }>>;
    }>;
  };
}

/** Finds the onnxruntime of the user's project, if it has one. */
async function findRuntime({ root }: Launch): Promise<{ name: string; module: Runtime } | null> {
  const require = createRequire(join(root, 'package.json'));
  for (const name of ['onnxruntime-node', 'onnxruntime-web']) {
    try {
      const module = (await import(pathToFileURL(require.resolve(name)).href)) as Runtime & { default?: Runtime };
      return { name, module: module.InferenceSession ? module : module.default! };
    } catch {
      // Not there, or without a binary for this machine.
    }
  }
  return null;
}
