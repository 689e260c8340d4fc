/** Words of a command that starts Python. Pure. */

export function isPython(program: string): boolean {
  return /^(python|pypy)[\d.]*(\.exe)?$/i.test(program.split(/[/\\]/).at(-1)!);
}

/** Returns the index of the script, or of `-m` or `-c`: the interpreter's own options are before it. */
export function placeOfScript(words: readonly string[]): number {
  let at = 1;
  while (words[at]?.startsWith('-') && !/^-[mc]/.test(words[at]!)) at += /^-[XW]$/.test(words[at]!) ? 2 : 1;
  return at;
}
