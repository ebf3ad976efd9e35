# Completion of pier for fish. Every word comes from pier itself.

function __pier_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    for line in ($words[1] __complete -- $words[2..-1] $current 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path $current
            case ':directories'
                __fish_complete_directories $current
            case ':nothing'
            case '*'
                echo $line
        end
    end
end

complete --command pier --no-files --arguments '(__pier_complete)'
