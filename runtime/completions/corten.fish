# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_corten_global_optspecs
    string join \n root= log= log-format= log-level= debug rootless= systemd-cgroup cgroup-manager= timings= v/version h/help
end

function __fish_corten_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_corten_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_corten_using_subcommand
    set -l cmd (__fish_corten_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c corten -n "__fish_corten_needs_command" -l root -d 'Directory for the state of containers; must be on tmpfs [default: /run/corten, rootless: $XDG_RUNTIME_DIR/corten]' -r -F
complete -c corten -n "__fish_corten_needs_command" -l log -d 'Write the error, or with --debug everything, to this file' -r
complete -c corten -n "__fish_corten_needs_command" -l log-format -d 'Format of log lines: text or json' -r
complete -c corten -n "__fish_corten_needs_command" -l log-level -d 'Lowest severity to log: error, warning, info or debug' -r
complete -c corten -n "__fish_corten_needs_command" -l rootless -d 'Ignore cgroup permission errors: true, false or auto' -r
complete -c corten -n "__fish_corten_needs_command" -l cgroup-manager -d 'Who manages cgroups: cgroupfs, systemd or disabled' -r
complete -c corten -n "__fish_corten_needs_command" -l timings -d 'Write when each step began and ended (Chrome trace format)' -r -F
complete -c corten -n "__fish_corten_needs_command" -l debug -d 'Log everything; the same as --log-level debug'
complete -c corten -n "__fish_corten_needs_command" -l systemd-cgroup -d 'Let systemd manage cgroups; cgroupsPath is then slice:prefix:name'
complete -c corten -n "__fish_corten_needs_command" -s v -l version -d 'Print the runtime\'s and the specification\'s version'
complete -c corten -n "__fish_corten_needs_command" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_needs_command" -f -a "create" -d 'Create a container; its program waits for start'
complete -c corten -n "__fish_corten_needs_command" -f -a "start" -d 'Start the program of a created container'
complete -c corten -n "__fish_corten_needs_command" -f -a "state" -d 'Print the state of a container as JSON'
complete -c corten -n "__fish_corten_needs_command" -f -a "kill" -d 'Send a signal to the first process of a container'
complete -c corten -n "__fish_corten_needs_command" -f -a "delete" -d 'Remove a container and everything it holds'
complete -c corten -n "__fish_corten_needs_command" -f -a "run" -d 'Create and start a container and wait for it'
complete -c corten -n "__fish_corten_needs_command" -f -a "exec" -d 'Run another program in a container that runs'
complete -c corten -n "__fish_corten_needs_command" -f -a "ps" -d 'Show the processes of a container'
complete -c corten -n "__fish_corten_needs_command" -f -a "pause" -d 'Stop every process of a container where it is'
complete -c corten -n "__fish_corten_needs_command" -f -a "resume" -d 'Let a paused container run again'
complete -c corten -n "__fish_corten_needs_command" -f -a "update" -d 'Change the limits of a container'
complete -c corten -n "__fish_corten_needs_command" -f -a "events" -d 'Print statistics and notices of a container as JSON'
complete -c corten -n "__fish_corten_needs_command" -f -a "list" -d 'List the containers below --root'
complete -c corten -n "__fish_corten_needs_command" -f -a "spec" -d 'Write a config.json to start from'
complete -c corten -n "__fish_corten_needs_command" -f -a "features" -d 'Print what this runtime can do, as features.md wants it'
complete -c corten -n "__fish_corten_needs_command" -f -a "explain" -d 'Print what create would do, without doing it'
complete -c corten -n "__fish_corten_needs_command" -f -a "doctor" -d 'Tell what this host lacks for containers, and what fixes it'
complete -c corten -n "__fish_corten_needs_command" -f -a "seccomp" -d 'Explain, check, compare and record filters'
complete -c corten -n "__fish_corten_needs_command" -f -a "completion" -d 'Print the completion script of a shell'
complete -c corten -n "__fish_corten_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c corten -n "__fish_corten_using_subcommand create" -s b -l bundle -d 'Bundle directory [default: the current directory]' -r -F
complete -c corten -n "__fish_corten_using_subcommand create" -s f -l config -d 'Configuration to use instead of the bundle\'s config.json' -r -F
complete -c corten -n "__fish_corten_using_subcommand create" -l console-socket -d 'Unix socket that receives the terminal\'s master descriptor' -r -F
complete -c corten -n "__fish_corten_using_subcommand create" -l pidfd-socket -d 'Unix socket that receives a pidfd of the container\'s first process' -r -F
complete -c corten -n "__fish_corten_using_subcommand create" -l pid-file -d 'File that receives the pid of the container\'s first process' -r -F
complete -c corten -n "__fish_corten_using_subcommand create" -l preserve-fds -d 'Pass this many descriptors after stdio and $LISTEN_FDS to the container' -r
complete -c corten -n "__fish_corten_using_subcommand create" -l no-pivot -d 'Do not use pivot_root(2); for a root file system on the initial ramdisk'
complete -c corten -n "__fish_corten_using_subcommand create" -l no-new-keyring -d 'Share the caller\'s session keyring instead of making a new one'
complete -c corten -n "__fish_corten_using_subcommand create" -s d -l detach -d 'Sent by callers of go-runc; create always detaches'
complete -c corten -n "__fish_corten_using_subcommand create" -l no-subreaper -d 'Sent by callers of crun; create reaps nothing'
complete -c corten -n "__fish_corten_using_subcommand create" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand start" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand state" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand kill" -s a -l all -d 'Signal every process of the container\'s cgroup, first process alive or not'
complete -c corten -n "__fish_corten_using_subcommand kill" -s r -l regex -d 'Take CONTAINER-ID as a regular expression'
complete -c corten -n "__fish_corten_using_subcommand kill" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand delete" -s f -l force -d 'Kill it first; succeed when it does not exist'
complete -c corten -n "__fish_corten_using_subcommand delete" -s r -l regex -d 'Take CONTAINER-ID as a regular expression'
complete -c corten -n "__fish_corten_using_subcommand delete" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand run" -s b -l bundle -d 'Bundle directory [default: the current directory]' -r -F
complete -c corten -n "__fish_corten_using_subcommand run" -s f -l config -d 'Configuration to use instead of the bundle\'s config.json' -r -F
complete -c corten -n "__fish_corten_using_subcommand run" -l console-socket -d 'Unix socket that receives the terminal\'s master descriptor' -r -F
complete -c corten -n "__fish_corten_using_subcommand run" -l pidfd-socket -d 'Unix socket that receives a pidfd of the container\'s first process' -r -F
complete -c corten -n "__fish_corten_using_subcommand run" -l pid-file -d 'File that receives the pid of the container\'s first process' -r -F
complete -c corten -n "__fish_corten_using_subcommand run" -l preserve-fds -d 'Pass this many descriptors after stdio and $LISTEN_FDS to the container' -r
complete -c corten -n "__fish_corten_using_subcommand run" -l no-pivot -d 'Do not use pivot_root(2); for a root file system on the initial ramdisk'
complete -c corten -n "__fish_corten_using_subcommand run" -l no-new-keyring -d 'Share the caller\'s session keyring instead of making a new one'
complete -c corten -n "__fish_corten_using_subcommand run" -s d -l detach -d 'Return as soon as the container\'s program has started'
complete -c corten -n "__fish_corten_using_subcommand run" -l keep -d 'Keep the container after its program has ended'
complete -c corten -n "__fish_corten_using_subcommand run" -l no-subreaper -d 'Do not adopt and reap the container\'s orphans'
complete -c corten -n "__fish_corten_using_subcommand run" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand exec" -l console-socket -d 'Unix socket that receives the terminal\'s master descriptor' -r -F
complete -c corten -n "__fish_corten_using_subcommand exec" -l pidfd-socket -d 'Unix socket that receives a pidfd of the process' -r -F
complete -c corten -n "__fish_corten_using_subcommand exec" -l cwd -d 'Working directory in the container' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -s e -l env -d 'Set an environment variable; may be given several times' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -s u -l user -d 'User and group, by number' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -s g -l additional-gids -d 'Add a supplementary group, by number; may be given several times' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -s p -l process -d 'Process to run, as JSON like process in config.json; - reads it from stdin' -r -F
complete -c corten -n "__fish_corten_using_subcommand exec" -l pid-file -d 'File that receives the pid of the process' -r -F
complete -c corten -n "__fish_corten_using_subcommand exec" -l process-label -d 'SELinux label of the process' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -l apparmor -d 'AppArmor profile of the process' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -s c -l cap -d 'Add a capability; may be given several times' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -l preserve-fds -d 'Pass this many descriptors after stdio and $LISTEN_FDS to the process' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -l cgroup -d 'Run in a sub-cgroup of the container\'s; may be given once for each controller' -r
complete -c corten -n "__fish_corten_using_subcommand exec" -s t -l tty -d 'Give the program a terminal'
complete -c corten -n "__fish_corten_using_subcommand exec" -s d -l detach -d 'Return as soon as the program has started'
complete -c corten -n "__fish_corten_using_subcommand exec" -l no-new-privs -d 'Never let the process gain privileges'
complete -c corten -n "__fish_corten_using_subcommand exec" -l ignore-paused -d 'Do not refuse a paused container: the program runs when it is resumed'
complete -c corten -n "__fish_corten_using_subcommand exec" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand ps" -s f -l format -d 'Output: table or json' -r -f -a "table\t'Columns for people'
json\t'One line of JSON'"
complete -c corten -n "__fish_corten_using_subcommand ps" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand pause" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand resume" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand update" -s r -l resources -d 'Read the limits as linux.resources from this file, - for standard input' -r -F
complete -c corten -n "__fish_corten_using_subcommand update" -l blkio-weight -d 'Weight of its block I/O, 10 to 1000' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-period -d 'Length of a period of the CPU quota, in microseconds' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-quota -d 'CPU time per period, in microseconds; -1 is no limit' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-burst -d 'CPU time that may be saved up beyond the quota, in microseconds' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-share -d 'Weight of its CPU time against other containers, 2 to 262144' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-rt-period -d 'Length of a period of the realtime limit, in microseconds (cgroup v1)' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-rt-runtime -d 'Realtime CPU time per period, in microseconds (cgroup v1)' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpu-idle -d '1 runs it only when no other needs the CPU (SCHED_IDLE), 0 is usual' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpuset-cpus -d 'CPUs to use, such as 0-3,7' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l cpuset-mems -d 'Memory nodes to use' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l memory -d 'Memory limit in bytes, or with a unit such as 64M; -1 is no limit' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l memory-reservation -d 'Memory that is left to it when memory is short' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l memory-swap -d 'Memory and swap together; -1 is no limit on swap' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l kernel-memory -d 'Obsolete: kernels since 6.1 take it and limit nothing' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l kernel-memory-tcp -d 'Obsolete' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l pids-limit -d 'Processes and threads it may have; -1 is no limit' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l l3-cache-schema -d 'Schema of its L3 cache, such as L3:0=f0 (Intel RDT)' -r
complete -c corten -n "__fish_corten_using_subcommand update" -l mem-bw-schema -d 'Schema of its memory bandwidth, such as MB:0=50 (Intel RDT)' -r
complete -c corten -n "__fish_corten_using_subcommand update" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand events" -l interval -d 'Time between two statistics, such as 5s, 100ms or 1m30s' -r
complete -c corten -n "__fish_corten_using_subcommand events" -l stats -d 'Print the statistics once and end'
complete -c corten -n "__fish_corten_using_subcommand events" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand list" -s f -l format -d 'Output: table or json' -r -f -a "table\t'Columns for people'
json\t'One line of JSON'"
complete -c corten -n "__fish_corten_using_subcommand list" -s q -l quiet -d 'Print only the names'
complete -c corten -n "__fish_corten_using_subcommand list" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand spec" -s b -l bundle -d 'Directory to write config.json to [default: the current directory]' -r -F
complete -c corten -n "__fish_corten_using_subcommand spec" -l rootless -d 'Write a configuration that works without root'
complete -c corten -n "__fish_corten_using_subcommand spec" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand features" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand explain" -s b -l bundle -d 'Bundle directory [default: the current directory]' -r -F
complete -c corten -n "__fish_corten_using_subcommand explain" -l config -d 'Configuration to use instead of the bundle\'s config.json' -r -F
complete -c corten -n "__fish_corten_using_subcommand explain" -s f -l format -d 'Output: text or json' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c corten -n "__fish_corten_using_subcommand explain" -l no-pivot -d 'Plan as with create --no-pivot'
complete -c corten -n "__fish_corten_using_subcommand explain" -l no-new-keyring -d 'Plan as with create --no-new-keyring'
complete -c corten -n "__fish_corten_using_subcommand explain" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand doctor" -l rootless -d 'Judge for containers of an ordinary user: oneself, or who called sudo'
complete -c corten -n "__fish_corten_using_subcommand doctor" -l repair -d 'Remove what crashed containers below --root left behind'
complete -c corten -n "__fish_corten_using_subcommand doctor" -l json -d 'Print JSON'
complete -c corten -n "__fish_corten_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and not __fish_seen_subcommand_from explain check lint diff record" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and not __fish_seen_subcommand_from explain check lint diff record" -f -a "explain" -d 'Print the compiled filter, with names of calls, actions and targets of jumps'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and not __fish_seen_subcommand_from explain check lint diff record" -f -a "check" -d 'Tell what happens to a call, and which rule says so'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and not __fish_seen_subcommand_from explain check lint diff record" -f -a "lint" -d 'Find rules without effect, names that nothing has, holes'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and not __fish_seen_subcommand_from explain check lint diff record" -f -a "diff" -d 'Tell for which calls two profiles do different things'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and not __fish_seen_subcommand_from explain check lint diff record" -f -a "record" -d 'Run a bundle and write the profile that its run needed'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from explain" -l arch -d 'Architecture of the host, as amd64 or SCMP_ARCH_AARCH64 [default: this machine\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from explain" -l cap -d 'Capabilities of the container, parted by commas, or all, or none [default: Docker\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from explain" -l kernel -d 'Version of the kernel [default: the running one]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from explain" -l json -d 'Print JSON'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from check" -l arch -d 'Architecture of the host, as amd64 or SCMP_ARCH_AARCH64 [default: this machine\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from check" -l cap -d 'Capabilities of the container, parted by commas, or all, or none [default: Docker\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from check" -l kernel -d 'Version of the kernel [default: the running one]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from check" -l abi -d 'Architecture of the call, such as x86 for a 32-bit program [default: the host\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from check" -l json -d 'Print JSON'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from lint" -l arch -d 'Architecture of the host, as amd64 or SCMP_ARCH_AARCH64 [default: this machine\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from lint" -l cap -d 'Capabilities of the container, parted by commas, or all, or none [default: Docker\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from lint" -l kernel -d 'Version of the kernel [default: the running one]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from lint" -l json -d 'Print JSON'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from lint" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from diff" -l arch -d 'Architecture of the host, as amd64 or SCMP_ARCH_AARCH64 [default: this machine\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from diff" -l cap -d 'Capabilities of the container, parted by commas, or all, or none [default: Docker\'s]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from diff" -l kernel -d 'Version of the kernel [default: the running one]' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from diff" -l json -d 'Print JSON'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -s o -l output -d 'File to write the profile to' -r -F
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -s b -l bundle -d 'Bundle directory [default: the current directory]' -r -F
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -s f -l config -d 'Configuration to use instead of the bundle\'s config.json' -r -F
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l console-socket -d 'Unix socket that receives the terminal\'s master descriptor' -r -F
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l pidfd-socket -d 'Unix socket that receives a pidfd of the container\'s first process' -r -F
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l pid-file -d 'File that receives the pid of the container\'s first process' -r -F
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l preserve-fds -d 'Pass this many descriptors after stdio and $LISTEN_FDS to the container' -r
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l no-pivot -d 'Do not use pivot_root(2); for a root file system on the initial ramdisk'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l no-new-keyring -d 'Share the caller\'s session keyring instead of making a new one'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -l no-subreaper -d 'Do not adopt and reap the container\'s orphans'
complete -c corten -n "__fish_corten_using_subcommand seccomp; and __fish_seen_subcommand_from record" -s h -l help -d 'Print help'
complete -c corten -n "__fish_corten_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "create" -d 'Create a container; its program waits for start'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "start" -d 'Start the program of a created container'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "state" -d 'Print the state of a container as JSON'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "kill" -d 'Send a signal to the first process of a container'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "delete" -d 'Remove a container and everything it holds'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "run" -d 'Create and start a container and wait for it'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "exec" -d 'Run another program in a container that runs'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "ps" -d 'Show the processes of a container'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "pause" -d 'Stop every process of a container where it is'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "resume" -d 'Let a paused container run again'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "update" -d 'Change the limits of a container'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "events" -d 'Print statistics and notices of a container as JSON'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "list" -d 'List the containers below --root'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "spec" -d 'Write a config.json to start from'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "features" -d 'Print what this runtime can do, as features.md wants it'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "explain" -d 'Print what create would do, without doing it'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "doctor" -d 'Tell what this host lacks for containers, and what fixes it'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "seccomp" -d 'Explain, check, compare and record filters'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "completion" -d 'Print the completion script of a shell'
complete -c corten -n "__fish_corten_using_subcommand help; and not __fish_seen_subcommand_from create start state kill delete run exec ps pause resume update events list spec features explain doctor seccomp completion help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c corten -n "__fish_corten_using_subcommand help; and __fish_seen_subcommand_from seccomp" -f -a "explain" -d 'Print the compiled filter, with names of calls, actions and targets of jumps'
complete -c corten -n "__fish_corten_using_subcommand help; and __fish_seen_subcommand_from seccomp" -f -a "check" -d 'Tell what happens to a call, and which rule says so'
complete -c corten -n "__fish_corten_using_subcommand help; and __fish_seen_subcommand_from seccomp" -f -a "lint" -d 'Find rules without effect, names that nothing has, holes'
complete -c corten -n "__fish_corten_using_subcommand help; and __fish_seen_subcommand_from seccomp" -f -a "diff" -d 'Tell for which calls two profiles do different things'
complete -c corten -n "__fish_corten_using_subcommand help; and __fish_seen_subcommand_from seccomp" -f -a "record" -d 'Run a bundle and write the profile that its run needed'
