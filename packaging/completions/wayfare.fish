# Completion of wayfare for fish: the program itself knows what fits.
function __wayfare_complete
    set -l words (commandline -opc)
    wayfare complete-words $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c wayfare -f -a '(__wayfare_complete)'
complete -c wayfare -n '__fish_seen_subcommand_from check decode' -F
