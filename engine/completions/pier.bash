# Completion of pier for bash: `. <(pier completion bash)`. Every word comes from pier itself.

_pier() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() word line more=:nothing
    # Bash cuts words at `=` and `:`; what no blank parts is one word for pier.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && $rest != [[:blank:]]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"$word"}
    done
    # The rest is what is being typed: a word of its own, or the end of the one before.
    if [[ $rest == [[:blank:]]* ]]; then
        words+=("${rest#"${rest%%[![:blank:]]*}"}")
    else
        words[${#words[@]} - 1]+=$rest
    fi
    local current=${words[${#words[@]} - 1]}
    local cut=${current%"$2"}

    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        :*) more=$line ;;
        *)
            word=${line%%$'\t'*}
            COMPREPLY+=("${word#"$cut"}")
            ;;
        esac
    done < <("$1" __complete -- "${words[@]:1}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    case $more in
    :files) compopt -o default 2>/dev/null ;;
    :directories)
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done < <(compgen -d -- "$2")
        ;;
    esac
}
complete -F _pier pier
