/** Params of a TensorFlow.js training, through JSON and back for a resume. */
import { expect, test } from 'vitest';
import { mergeParams, wireParams } from '../../../trainer/params.ts';

test('defaults that JSON has no word for come back from a launch as they were, wherever they stand', () => {
  const defaults = {
    clip: Infinity,
    floor: -Infinity,
    odd: Number.NaN,
    name: 'NaN',
    deep: { clip: Infinity, list: [1, Infinity] },
  };
  const launched = JSON.parse(JSON.stringify(wireParams(defaults)));
  expect(launched).toMatchObject({ clip: 'Infinity', floor: '-Infinity', odd: 'NaN', deep: { list: [1, 'Infinity'] } });
  expect(mergeParams(defaults, launched)).toEqual(defaults);
  expect(mergeParams({ lr: 0.1 }, { lr: 'Infinity' })).toEqual({ lr: Infinity });
  expect(() => mergeParams({ lr: 0.1 }, { lr: 'high' })).toThrow('must be a number');
});
