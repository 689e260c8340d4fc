/** Gives a model's variables stable names, whatever TensorFlow.js calls them in this process. */
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { layers as Layers, LayersModel } from '@tensorflow/tfjs-layers';
import { TrainstashError } from '../protocol/errors.ts';
import type { Model } from './training.ts';

export interface NamedModel {
  /** Variables in the model's order, including untrained ones (batch-norm statistics, frozen layers). */
  variables: ReadonlyMap<string, Variable>;
  trainable: ReadonlyMap<string, Variable>;
  predict: ((x: Tensor, training: boolean) => Tensor) | null;
  warnings: string[];
}

export function nameModel(model: Model): NamedModel {
  if (isLayersModel(model)) return nameLayersModel(model);
  const { variables, predict } = model;
  if (typeof variables !== 'object' || variables === null) {
    throw new TrainstashError('moduleInvalid', '`model` must return a layers model or { variables, predict }.', {
      file: '',
      problem: 'model returned something else',
    });
  }
  const all = new Map(Object.entries(variables));
  const trainable = new Map([...all].filter(([, variable]) => variable.trainable));
  return { variables: all, trainable, predict: predict ? (x, training) => predict(x, training) : null, warnings: [] };
}

export function isLayersModel(model: Model): model is LayersModel {
  return typeof (model as LayersModel).apply === 'function' && Array.isArray((model as LayersModel).layers);
}

type Layer = ReturnType<typeof Layers.dense>;

function nameLayersModel(model: LayersModel): NamedModel {
  const variables = new Map<string, Variable>();
  const warnings: string[] = [];
  const visit = (list: readonly Layer[], prefix: string) => {
    for (const [index, layer] of list.entries()) {
      // Position and class: TensorFlow.js counts names within a process (`dense_Dense3`), and freezing a layer reorders
      // `model.weights`.
      const path = `${prefix}${index}.${layer.getClassName()}`;
      const inner = (layer as unknown as { layers?: Layer[] }).layers;
      if (Array.isArray(inner)) {
        visit(inner, `${path}/`);
        continue;
      }
      const seed = (layer.getConfig() as { seed?: unknown }).seed;
      if (layer.getClassName() === 'Dropout' && seed != null)
        warnings.push(
          `${path} has a fixed seed: TensorFlow.js then drops the same units at every step. Leave the seed out.`,
        );
      for (const weight of layer.weights) {
        const base = `${path}/${weight.originalName.split('/').pop()!}`;
        let name = base;
        for (let twin = 2; variables.has(name); twin++) name = `${base}#${twin}`;
        variables.set(name, weight.read() as Variable);
      }
    }
  };
  visit(model.layers as Layer[], '');
  const trained = new Set(model.trainableWeights.map((weight) => weight.read()));
  return {
    variables,
    trainable: new Map([...variables].filter(([, variable]) => trained.has(variable))),
    predict: (x, training) => model.apply(x, { training }) as Tensor,
    warnings,
  };
}

/**
 * Maps layer paths to weights; layers of a nested model are `outer/inner`, and each weight has the last part of its
 * name.
 */
export async function layerWeights(model: LayersModel): Promise<Map<string, LayerWeights>> {
  const found = new Map<string, LayerWeights>();
  const visit = async (list: readonly Layer[], path: string) => {
    for (const layer of list) {
      const inner = (layer as unknown as { layers?: Layer[] }).layers;
      if (Array.isArray(inner)) await visit(inner, `${path}${layer.name}/`);
      else {
        const weights: LayerWeights = {};
        for (const weight of layer.weights) {
          const tensor = weight.read();
          const name = weight.originalName.split('/').pop()!;
          weights[name] = { shape: tensor.shape, data: Float32Array.from(await tensor.data()) };
        }
        found.set(`${path}${layer.name}`, weights);
      }
    }
  };
  await visit(model.layers as Layer[], '');
  return found;
}

type LayerWeights = Record<string, { shape: number[]; data: Float32Array }>;
