/** Sentences that an editor says of a script's text, and a checkpoint of the same script while it runs. The Python package reads them, too. */
import sentences from './rules/findings.json' with { type: 'json' };

/** Codes that both tell. The others are told by the text alone, or by the running script alone. */
export type SharedCode = keyof typeof sentences;

/** Returns the clause that stands behind the name of what is lost, without a full stop. */
export function clauseOf(code: SharedCode): string {
  return sentences[code].one;
}
