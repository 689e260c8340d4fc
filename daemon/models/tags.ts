import { TrainstashError } from '../../protocol/errors.ts';
import { isModelName } from '../../protocol/model-names.ts';

/** Throws `paramInvalid` for a tag that would look like the name of a promoted model. */
export function requirePlainTag(tag: string): void {
  if (!isModelName(tag)) return;
  throw new TrainstashError(
    'paramInvalid',
    `Tags that start with models/ name promoted checkpoints. Nothing was changed; \`trainstash promote CHECKPOINT ${tag.slice(tag.indexOf('/') + 1)}\` makes a model.`,
    { param: 'tag', expected: 'another name' },
  );
}
