# Completion of wayfare for bash: the program itself knows what fits.
_wayfare() {
    local IFS=$'\n' current words
    current=${COMP_WORDS[COMP_CWORD]}
    words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        [[ -n $word ]] && COMPREPLY+=("$word")
    done < <(wayfare complete-words "${words[@]}" 2>/dev/null)
    # Files where a file belongs.
    if [[ ${#COMPREPLY[@]} -eq 0 && ${words[0]} =~ ^(check|decode)$ ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -F _wayfare wayfare
