/** Recognises words of a command that only a shell would understand. Pure. */

const OPERATORS = /^(&&|\|\|?|;|&|[0-9]?>>?|<<?|[0-9]?>&[0-9]|&>)$/;
const BUILT_IN = new Set(['cd', 'export', 'source', '.', 'alias', 'eval', 'exec', 'set', 'unset', 'ulimit']);

/** Returns the first such word; undefined: the command needs no shell. */
export function shellWord(words: readonly string[]): string | undefined {
  const [program] = words;
  if (program !== undefined && (BUILT_IN.has(program) || /^[A-Za-z_]\w*=/.test(program))) return program;
  return words.find((word) => OPERATORS.test(word) || /^\$\(|^`|^\$[A-Za-z_]\w*$|;$/.test(word));
}
