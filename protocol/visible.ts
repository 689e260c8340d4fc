import rules from './rules/unprintable.json' with { type: 'json' };

const UNPRINTABLE = new RegExp(rules.characters, 'gu');
const REPLACEMENT = '\ufffd';

/**
 * Replaces characters that a terminal or an editor obeys instead of showing: controls, changes of direction, zero-width
 * marks. Names from a store, a script or a file are shown through it.
 */
export function visible(text: string): string {
  return text.replaceAll(UNPRINTABLE, REPLACEMENT);
}

/** Escapes the same characters in JSON, which keeps its meaning. */
export function visibleJson(json: string): string {
  return json.replaceAll(UNPRINTABLE, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
