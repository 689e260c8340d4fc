/** Words that ask for the version. */
export const VERSION_WORDS: readonly string[] = ['version', '--version', '-V', '-v'];
