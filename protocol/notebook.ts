/** Runs of notebooks: a kernel runs them, and nothing else can start them again. */

/** Tells whether a command stands for a notebook; earlier versions recorded the kernel's own words. */
export function isNotebook(words: readonly string[]): boolean {
  return words.at(-1)?.endsWith('.ipynb') === true || isUnnamed(words);
}

function isUnnamed(words: readonly string[]): boolean {
  return (
    (words.length === 2 && words[1] === 'notebook') || words.some((word) => word.endsWith('ipykernel_launcher.py'))
  );
}
