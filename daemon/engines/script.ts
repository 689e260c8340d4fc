/** Parts of the shell scripts in which engines start a life. Pure. */
import type { ProgramWord } from './contract.ts';

/** Variables of another training that a person's shell may have. */
export const UNSET = 'unset TRAINSTASH_ALLOCATION TRAINSTASH_COMMAND TRAINSTASH_PARAMS TRAINSTASH_SESSION';

/** Quotes a word for a POSIX shell. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

export function exportLines(variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`);
}

/** Makes the line before the program's: quotes in a default value are read in other ways inside of quotes. */
export function nodeLines(program: readonly ProgramWord[]): string[] {
  return program.flatMap((word) =>
    typeof word === 'string' ? [] : [`node=\${TRAINSTASH_NODE:-${quoted(word.node)}}`],
  );
}

/** Makes the words of the program, for the shell. */
export function programText(program: readonly ProgramWord[]): string {
  return program.map((word) => (typeof word === 'string' ? quoted(word) : '"$node"')).join(' ');
}
