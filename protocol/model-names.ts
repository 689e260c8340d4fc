/** Names of models: `models/NAME@VERSION`. They are tags of the checkpoints that they name. */

/** Folder of a project's models, and start of their names. */
export const MODELS = 'models';

/** A part of a name: also a part of a path, so it contains no separator and starts with no dot. */
const PART = /^\w[\w.-]{0,63}$/;

export function isModelName(tag: string): boolean {
  return tag.startsWith(`${MODELS}/`);
}

export function isModelPart(part: string): boolean {
  return PART.test(part);
}

/** Returns the number after the highest one among the versions; versions that are words do not count. */
export function nextVersion(versions: readonly string[]): string {
  const numbers = versions.flatMap((version) => (/^\d{1,9}$/.test(version) ? [Number(version)] : []));
  return String(Math.max(0, ...numbers) + 1);
}
