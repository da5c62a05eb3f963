#compdef wayfare
# Completion of wayfare for zsh: the program itself knows what fits.
_wayfare() {
    local -a entries
    local line
    for line in "${(@f)$(wayfare complete-words "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && entries+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( ${#entries} )); then
        _describe 'command' entries
    elif [[ ${words[2]} == (check|decode) ]]; then
        _files
    fi
}
_wayfare "$@"
