/** Adds an engine to `trainstash.json`. */
import * as v from 'valibot';
import { ENGINE_KEYS, engineSchema } from '../../../protocol/engines.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import type { NewEngine } from '../../../protocol/messages/engine.ts';
import { readConfig } from '../config.ts';
import { editConfig } from '../config-edit.ts';

/** Writes the settings as they are given. Throws `paramInvalid` for a name that is taken, and for a key that is missing or wrong. */
export function addEngine(root: string, name: string, settings: NewEngine): { config: string } {
  // This reports a file that cannot be read, before anything is changed.
  if (Object.hasOwn(readConfig(root).branches.engines, name))
    throw new TrainstashError(
      'paramInvalid',
      `There is an engine "${name}" already. Nothing was changed; give another name.`,
      { param: 'name', expected: 'a name that no engine has' },
    );
  const missing = ENGINE_KEYS[settings.type].needs.find((key) => !(key in settings));
  if (missing !== undefined)
    throw new TrainstashError(
      'paramInvalid',
      `An engine of the type ${settings.type} needs "${missing}". Nothing was changed.`,
      { param: missing, expected: 'a value' },
    );
  const checked = v.safeParse(engineSchema, settings);
  const [wrong] = checked.issues ?? [];
  if (wrong) {
    const param = v.getDotPath(wrong) ?? 'settings';
    const expected = wrong.message;
    throw new TrainstashError('paramInvalid', `"${param}" is not valid: ${expected} Nothing was changed.`, {
      param,
      expected,
    });
  }
  return { config: editConfig(root, ['engines', name], settings) };
}
