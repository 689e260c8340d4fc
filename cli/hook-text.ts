/** Adds Trainstash's lines to a `post-checkout` hook and removes them again. Pure. */

const BEGIN = '# >>> trainstash >>> `trainstash hook remove` takes these lines away again.';
const END = '# <<< trainstash <<<';
const SHEBANG = '#!/bin/sh\n';
/** Marker of the whole-file hook of version 0.1, which ran the project's own hook from another file. */
const FORMER = '# Installed by `trainstash hook install`; `trainstash hook remove` takes it away again.';

/**
 * Returns the lines for the hook, valid in any POSIX shell. They run in a subshell, so that they change nothing of the hook around
 * them, not even its exit code. `command`: program and script, as they are on this machine. A repository without a store is left alone.
 */
export function hookLines(command: readonly string[]): string {
  const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return `${BEGIN}
(
  # The third argument is 1 when a branch was checked out, 0 for single files.
  [ "\${3-}" = 1 ] && [ -e ${words.at(-1)} ] || exit 0
  top=$(git rev-parse --show-toplevel) && common=$(git rev-parse --git-common-dir) || exit 0
  [ -e "$common/trainstash/objects.db" ] || [ -e "$top/.trainstash/objects.db" ] || exit 0
  exec ${words.join(' ')} sync --quiet
) >&2 </dev/null || :
${END}
`;
}

/** Makes a hook of these lines only. `aside`: the project's own hook, to which it hands over with its exit code, if that `runs`. */
export function wholeHook(lines: string, aside?: { path: string; runs: boolean }): string {
  if (!aside) return SHEBANG + lines;
  const call = `exec '${aside.path.replaceAll("'", `'\\''`)}' "$@"`;
  return `${SHEBANG}${lines}${aside.runs ? call : `# It was not executable, so git did not run it: ${call}`}\n`;
}

/** Puts the lines right after the hook's first line, which selects its interpreter; replaces earlier lines of ours. */
export function withLines(hook: string, lines: string): string {
  const bare = withoutLines(hook);
  const at = bare.startsWith('#!') ? bare.indexOf('\n') + 1 || bare.length : 0;
  const head = bare.slice(0, at);
  return `${head}${head !== '' && !head.endsWith('\n') ? '\n' : ''}${lines}${bare.slice(at)}`;
}

/** Removes the lines; the rest stays byte for byte as it was. */
export function withoutLines(hook: string): string {
  const from = hook.indexOf(BEGIN);
  const to = hook.indexOf(END, from);
  return from < 0 || to < 0 ? hook : hook.slice(0, from) + hook.slice(to + END.length + 1);
}

export function hasLines(hook: string): boolean {
  return hook.includes(BEGIN);
}

/** Tells whether the hook has no other content, so that Trainstash created it. */
export function isOnlyOurs(hook: string): boolean {
  return hasLines(hook) && withoutLines(hook) === SHEBANG;
}

export function isFormer(hook: string): boolean {
  return hook.includes(FORMER);
}

const SHELLS = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh']);

/** Tells whether a shell that understands our lines runs the hook; git runs a hook without such a first line with `sh`. */
export function isShellScript(hook: string): boolean {
  const [first = '', ...rest] = hook.split('\n');
  if (hook.includes('\0') || (first.startsWith('#!') && rest.length === 0)) return false;
  return !first.startsWith('#!') || SHELLS.has(interpreterOf(first));
}

/** Returns the name of the interpreter in a first line. Folders do not count: `/home/me/flash-attn/bin/python` is no shell. */
function interpreterOf(line: string): string {
  const names = line
    .slice(2)
    .trim()
    .split(/\s+/)
    .map((word) => word.slice(word.lastIndexOf('/') + 1));
  const [program = '', ...words] = names;
  if (program !== 'env') return program;
  return words.find((word) => !word.startsWith('-') && !word.includes('=')) ?? '';
}
