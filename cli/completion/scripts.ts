/** Scripts that make a shell ask `trainstash completion` for the words that may follow. */

/**
 * No script evaluates a word: names come from the store. bash splits words at `@`, `=` and `:`, and then replaces only the
 * part behind the last of them. The bash of macOS is 3.2, which counts no places from the end.
 */
const BASH = `# bash completion for trainstash
_trainstash() {
  local line="\${COMP_LINE:0:COMP_POINT}" word about cut=
  local -a words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local typed="\${words[\${#words[@]}-1]}"
  local behind="\${typed##*[@=:]}"
  [[ $typed == *[@=:]* ]] && cut="\${typed%"$behind"}"
  # readline keeps an @ with what follows it.
  cut="\${cut%@}"
  COMPREPLY=()
  while IFS=$'\\t' read -r word about; do
    COMPREPLY+=("\${word#"$cut"}")
  done < <("\${words[0]}" completion words -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _trainstash trainstash
`;

const ZSH = `#compdef trainstash
# zsh completion for trainstash
_trainstash() {
  local word about
  local -a found
  while IFS=$'\\t' read -r word about; do
    found+=("\${word//:/\\\\:}:$about")
  done < <("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe trainstash found; else _files; fi
}
if [[ $funcstack[1] == _trainstash ]]; then _trainstash "$@"; else compdef _trainstash trainstash; fi
`;

const FISH = `# fish completion for trainstash
function __trainstash_words
    set -l words (commandline -opc) (commandline -ct)
    $words[1] completion words -- $words[2..-1] 2>/dev/null
end
complete -c trainstash -a '(__trainstash_words)'
`;

/** Completion scripts by shell. */
export const SHELLS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
