/** Names of the file that names a project's jobs. */

export const CONFIG_FILE = 'trainstash.json';
/** Names that the file may have; the first that is there counts. Both may hold comments, which some editors expect of `.jsonc` only. */
export const CONFIG_FILES: readonly string[] = [CONFIG_FILE, 'trainstash.jsonc'];
