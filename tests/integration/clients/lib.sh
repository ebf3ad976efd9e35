# shellcheck shell=bash
# What the client checks share: one line per check, waiting with a limit, and the search for leftovers.
#
# Sourced inside the private namespaces that `run` makes. Set there: RUNTIME (the binary under test),
# CLIENT (whose checks these are), WORK (a tmpfs of our own), TAG (our name in cgroups and states).

# Seconds that one command of a client may take; a healthy one takes less than five.
patience=30

# Every line is `ok CLIENT: what` or `not ok CLIENT: what`; `run` counts them.
pass() { printf 'ok %s: %s\n' "$CLIENT" "$1"; }
fail() {
    printf 'not ok %s: %s\n' "$CLIENT" "$1"
    [ -z "${2:-}" ] || printf '%s\n' "$2" | tail -n 20 | sed 's/^/#   /'
}

# expect WHAT STATUS PATTERN COMMAND…: the command ends with STATUS (one, or several: `126|127`) and its
# output, both streams and without carriage returns, matches the extended regular expression PATTERN
# (whole text, lines by \n).
expect() {
    local what=$1 status=$2 pattern=$3 output got=0
    shift 3
    output=$(timeout -k 5 "$patience" "$@" 2>&1 </dev/null) || got=$?
    if [ -n "${loses_output:-}" ] && [ -z "$output" ] && [[ $got =~ ^($status)$ ]] && [[ ! $output =~ $pattern ]]; then
        output=$(timeout -k 5 "$patience" "$@" 2>&1 </dev/null) || got=$?
    fi
    judge "$what" "$status" "$pattern" "$got" "$output"
}

# judge WHAT STATUS PATTERN GOT OUTPUT: the comparison of `expect`, for commands run in another way.
judge() {
    local output=${5//$'\r'/}
    if [[ ! $4 =~ ^($2)$ ]]; then
        fail "$1" "exit status $4, not $2; output: $output"
    elif [[ ! $output =~ $3 ]]; then
        fail "$1" "output does not match '$3': $output"
    else
        pass "$1"
    fi
}

# eventually SECONDS COMMAND…: true as soon as the command is; false when the time is over.
eventually() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# answers PID COMMAND…: the command succeeds, or the daemon PID has ended and never will answer.
answers() {
    local daemon=$1
    shift
    "$@" >/dev/null 2>&1 || ! kill -0 "$daemon" 2>/dev/null
}

# cgroup_file V1CONTROLLER V1FILE V2FILE PATH: the file's content for the cgroup PATH of this host.
cgroup_file() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        cat "/sys/fs/cgroup/$4/$3"
    else
        cat "/sys/fs/cgroup/$1/$4/$2"
    fi
}

# Directories that somebody made below our part of any cgroup hierarchy.
cgroups() { find /sys/fs/cgroup -mindepth 2 -path "*/$TAG/*" -type d 2>/dev/null | sort; }

# Mounts of this namespace, without their numbers.
mounts() { awk '{ print $5 }' /proc/self/mountinfo | sort; }

# Processes of containers, and names of others here that belong neither to the checks nor to $1, a regular
# expression of the client's own programs. A container's are known by their pid namespace.
processes() {
    local pid own other comm
    own=$(readlink /proc/self/ns/pid)
    for pid in /proc/[0-9]*; do
        other=$(readlink "$pid/ns/pid" 2>/dev/null) || continue
        comm=$(cat "$pid/comm" 2>/dev/null) || continue
        if [ "$other" != "$own" ]; then
            echo "$comm (in a container)"
        elif [[ ! $comm =~ ^(bash|timeout|sleep|readlink|cat|$1)$ ]]; then
            echo "$comm"
        fi
    done
}

# nothing_left WHAT COMMAND…: the command says nothing, at the latest after ten seconds.
nothing_left() {
    local what=$1
    shift
    if eventually 10 silent "$@"; then pass "$what"; else fail "$what" "left: $("$@" 2>&1)"; fi
}
silent() { [ -z "$("$@" 2>&1)" ]; }

# daemon_stops PID: ends the daemon as a stop of its service does.
daemon_stops() {
    kill "$1"
    wait "$1" || true
}

# new_mounts FILE: mounts that are not in FILE, written by `mounts` before.
new_mounts() { mounts | comm -13 "$1" -; }

# entries DIR…: what is in the directories that exist.
entries() {
    local dir
    for dir; do
        [ ! -d "$dir" ] || find "$dir" -mindepth 1
    done
}
