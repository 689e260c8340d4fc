/** Folders that are one checkpoint each: whole as their writers mark it, or none. */
import { describe, expect, test } from 'vitest';
import { missingIn } from '../../../runner/folders.ts';
import { groupFiles } from '../../../session/groups.ts';

/** `files`: when each was written. */
function found(files: Record<string, number>) {
  const states = Object.entries(files).map(([path, mtimeMs]) => ({ path, ino: path, bytes: 1, mtimeMs }));
  const groups = groupFiles(states);
  return groups.map((group) => ({
    key: group.key,
    place: group.place,
    names: group.files.map(({ path }) => path.slice(group.place === '' ? 0 : group.place.length + 1)),
    isWhole: missingIn(group, groups) === null,
  }));
}

const SHARDS = ['mp_rank_00_model_states.pt', 'zero_pp_rank_0_mp_rank_00_optim_states.pt'];

function saved(folder: string, at: number): Record<string, number> {
  return Object.fromEntries(SHARDS.map((name, i) => [`${folder}/${name}`, at + i]));
}

describe('a folder of DeepSpeed', () => {
  test.each([
    ['while its first is written', { ...saved('ds/global_step10', 100) }, [false]],
    ['when latest names it', { ...saved('ds/global_step10', 100), 'ds/latest': 102 }, [true]],
    [
      'while the next is written',
      { ...saved('ds/global_step10', 100), 'ds/latest': 102, ...saved('ds/global_step20', 200) },
      [true, false],
    ],
    [
      'when latest names the next',
      { ...saved('ds/global_step10', 100), ...saved('ds/global_step20', 200), 'ds/latest': 202 },
      [true, true],
    ],
    ['that nothing ever names', { ...saved('ds/global_step10', 100), ...saved('ds/global_step20', 200) }, [true, true]],
  ])('is whole or none %s', (_, files, whole) => {
    expect(found(files).map(({ isWhole }) => isWhole)).toEqual(whole);
  });

  test('comes with the file that names it, as its script reads it', () => {
    expect(found({ ...saved('out/ds/global_step10', 100), 'out/ds/latest': 102 })).toEqual([
      {
        key: 'out/ds/global_step10/',
        place: 'out/ds',
        names: [...SHARDS.map((name) => `global_step10/${name}`), 'latest'],
        isWhole: true,
      },
    ]);
  });

  test('inside of one of Transformers is a part of that', () => {
    const files = { ...saved('out/checkpoint-10/global_step10', 100), 'out/checkpoint-10/latest': 103 };
    expect(found({ ...files, 'out/checkpoint-10/training_args.bin': 99 })).toMatchObject([{ isWhole: false }]);
    const whole = { ...files, 'out/checkpoint-10/training_args.bin': 99, 'out/checkpoint-10/trainer_state.json': 104 };
    expect(found(whole)).toMatchObject([{ key: 'out/checkpoint-10/', isWhole: true }]);
  });
});

test('a folder of Transformers is none before its trainer_state.json is there, and one of another trainer needs none', () => {
  const model = { 'out/checkpoint-5/model.safetensors': 1, 'out/checkpoint-5/training_args.bin': 2 };
  expect(found(model)).toMatchObject([{ isWhole: false }]);
  expect(found({ ...model, 'out/checkpoint-5/trainer_state.json': 3 })).toMatchObject([{ isWhole: true }]);
  expect(found({ 'out/checkpoint-5/model.safetensors': 1 })).toMatchObject([{ isWhole: true }]);
});

test.each(['run/fsdp/pytorch_model_fsdp_0', 'out/checkpoint-8/pytorch_model_fsdp_0', 'dcp'])(
  'shards of torch in %s are whole with the index that is written last',
  (folder) => {
    const shards = { [`${folder}/__0_0.distcp`]: 1, [`${folder}/__1_0.distcp`]: 2 };
    expect(found(shards)).toMatchObject([{ isWhole: false }]);
    const whole = found({ ...shards, [`${folder}/.metadata`]: 3 });
    expect(whole).toMatchObject([{ isWhole: true }]);
    expect(whole[0]!.names).toHaveLength(3);
  },
);

describe('a folder of Accelerate', () => {
  const NAMES = [
    'model.safetensors',
    'optimizer.bin',
    'random_states_0.pkl',
    'scheduler.bin',
    'custom_checkpoint_0.pkl',
  ];

  test.each(['my_state', 'runs/a/last', 'checkpoints/checkpoint_3'])(
    '%s is one checkpoint with all that load_state reads',
    (folder) => {
      const groups = found(Object.fromEntries(NAMES.map((name) => [`${folder}/${name}`, 1])));
      expect(groups).toHaveLength(1);
      expect(groups[0]!.names).toEqual([...NAMES].sort().map((name) => `${folder.split('/').at(-1)}/${name}`));
    },
  );

  test('is made by its random numbers: the same names elsewhere are files of their own', () => {
    expect(found({ 'a/model.safetensors': 1, 'a/optimizer.bin': 1, 'a/scheduler.bin': 1 })).not.toMatchObject([
      { key: 'a/' },
    ]);
    expect(found({ 'a/latest': 1, 'a/.metadata': 1, 'a/sampler.bin': 1 })).toEqual([]);
  });
});
