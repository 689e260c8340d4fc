/** A grade is derived from a list, and lowered for all checkpoints with the same cause. */

import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { parseDoubt, sharesCause, withDoubts } from '../../../daemon/store/checkpoints/doubts.ts';
import type { Checkpoint } from '../../../protocol/domain.ts';
import { clauseOf } from '../../../protocol/findings.ts';
import { absent, described, INGREDIENT_KINDS, type Ingredient, kept, lost } from '../../../protocol/ingredients.ts';
import { blankCheckpointFile } from '../../../protocol/records.ts';
import { type CheckpointFile, checkpointFileSchema } from '../../../protocol/session.ts';

const looked = INGREDIENT_KINDS.filter((kind) => kind !== 'other').map((kind) => absent(kind, kind));
const doubt = (ingredient: Ingredient['kind'], text = 'seen') => ({ ingredient, text, at: 1 });
const file = (changes: Partial<CheckpointFile> = {}): CheckpointFile => ({
  ...blankCheckpointFile('a', 's', 4, 0),
  ...changes,
});

describe('the grade', () => {
  test('is complete when each kind was looked for and nothing is lost', () => {
    expect(described([...looked, kept('weights', 'model')])).toMatchObject({ grade: 'complete', missing: [] });
  });

  test('is not when a kind was never looked for', () => {
    const without = looked.filter(({ kind }) => kind !== 'random');
    expect(described([...without, kept('weights', 'model')]).grade).toBe('weights only');
    expect(described([...without, kept('optimizer', 'o')]).grade).toBe('partial');
  });

  test('names what is lost as Python does', () => {
    const variable = { ...lost('loop', '`total`, `hist`', 'start again on a resume'), line: 'train.py:12' };
    const { missing } = described([...looked, lost('scaler', 'scaler', 'it was off'), variable]);
    expect(missing).toEqual(['scaler (it was off)', '`total`, `hist` start again on a resume (train.py:12)']);
    const given = { ...lost('schedule', '`s`', clauseOf('untrackedObject')), line: 'a.py:3', code: 'untrackedObject' };
    expect(described([...looked, given]).missing).toEqual([
      '`s` was not given to init, so a resume starts it anew (a.py:3)',
    ]);
  });

  test('files of an older version have no list and are read as before', () => {
    expect(v.parse(checkpointFileSchema, file()).ingredients).toBeUndefined();
  });
});

describe('a difference that is found later', () => {
  test('in an object holds for every checkpoint, in the place of the loop for those at the same sort of place', () => {
    const [inside, after] = [file({ batch: 3 }), file({ batch: 0 })];
    expect(sharesCause('schedule', inside, after)).toBe(true);
    expect(sharesCause('data', inside, after)).toBe(false);
    expect(sharesCause('data', inside, file({ batch: 9 }))).toBe(true);
  });

  test('holds for none that is partial anyway, and for none that has no such part', () => {
    expect(sharesCause('schedule', file(), file({ grade: 'partial' }))).toBe(false);
    expect(sharesCause('scaler', file(), file({ ingredients: looked }))).toBe(false);
  });

  test('lowers what is shown and adds to the list; a proof of its own outweighs it', () => {
    const shown = { grade: 'complete', missing: [], ingredients: looked, proof: null } as unknown as Checkpoint;
    const lowered = withDoubts(shown, [doubt('data', 'the batch of step 21 is another')]);
    expect(lowered).toMatchObject({ grade: 'partial', missing: ['the batch of step 21 is another'] });
    expect(lowered.ingredients!.at(-1)).toMatchObject({ kind: 'data', state: 'lost' });
    const proved = { ...shown, proof: { verdict: 'equal' } } as unknown as Checkpoint;
    expect(withDoubts(proved, [doubt('data')])).toBe(proved);
  });

  test('that another version wrote is left out', () => {
    expect(parseDoubt('{"ingredient":"unheard of","text":"x","at":1}')).toBeNull();
    expect(parseDoubt('no JSON')).toBeNull();
  });
});
