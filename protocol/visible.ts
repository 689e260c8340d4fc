import rules from './rules/unprintable.json' with { type: 'json' };

const UNPRINTABLE = new RegExp(rules.characters, 'gu');
const REPLACEMENT = '\ufffd';

/**
 * Makes visible what a terminal or an editor obeys instead of showing it: controls, changes of direction, marks without
 * width. A name that came from a store, a script or a file is shown with it.
 */
export function visible(text: string): string {
  return text.replaceAll(UNPRINTABLE, REPLACEMENT);
}

/** The same for JSON, which then says the same: characters become escapes. */
export function visibleJson(json: string): string {
  return json.replaceAll(UNPRINTABLE, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
