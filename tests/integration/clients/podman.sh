# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# podman: containers in the foreground and detached, exec, and what an operator does with them.
#
# Sourced by `run` inside the private namespaces.

# shellcheck source=podman-lib.sh
source "$HERE/podman-lib.sh"
begin
expect "podman knows the runtime" 0 "^$RUNTIME .*version .*spec: 1" bash -c \
    "$p info --format '{{.Host.OCIRuntime.Path}} {{.Host.OCIRuntime.Version}}' | tr '\n' ' '"

# Foreground.
expect "run prints and ends" 0 '^hello$' "${once[@]}" $image echo hello
expect "the command's exit status is podman's" 7 '' "${once[@]}" $image sh -c 'exit 7'
expect "a missing command is 127" 127 'executable file .*not found in \$PATH' "${once[@]}" $image no-such-command
expect "a missing path is 127" 127 '[Nn]o such file or directory' "${once[@]}" $image /no/such/command
expect "a file that may not be run is 126" 126 '[Pp]ermission denied' "${once[@]}" $image /etc/text
expect "a directory is 126 or 127" '126|127' '(directory|denied)' "${once[@]}" $image /etc
# The client loses the words of a terminal whose container ends before it has attached.
expect "a terminal is the container's" 0 '/dev/(pts/0|console)' script -qec "${once[*]} -it $image sh -c 'sleep 1; tty'" /dev/null
expect "a terminal has the client's size" 0 '33 77' script -qec "stty rows 33 cols 77; ${once[*]} -it $image sh -c 'sleep 1; stty size'" /dev/null
got=0
output=$(echo over | timeout 60 "${once[@]}" --interactive $image cat 2>&1) || got=$?
judge "standard input arrives" 0 '^over$' "$got" "$output"
expect "signals of the client arrive" 9 '' \
    timeout --foreground --signal TERM --preserve-status 4 "${once[@]}" $image sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'

# What the container sees.
expect "hostname, environment, directory and user" 0 '^box blue /home 1000:100$' "${once[@]}" --hostname box --env COLOUR=blue \
    --workdir /home --user 1000:100 $image sh -c "echo \$(hostname) \$COLOUR \$PWD \$(id -u):\$(id -g)"
expect "capabilities are dropped and added" 0 '^CapEff:[[:space:]]0*1000$' \
    "${once[@]}" --cap-drop ALL --cap-add NET_ADMIN $image grep CapEff /proc/self/status
expect "the default filter is on" 0 '^Seccomp:[[:space:]]2$' "${once[@]}" $image grep Seccomp: /proc/self/status
expect "unconfined is off" 0 '^Seccomp:[[:space:]]0$' "${once[@]}" --security-opt seccomp=unconfined $image grep Seccomp: /proc/self/status
expect "a read-only root with its tmpfs" 1 'Read-only file system' "${once[@]}" --read-only $image sh -c 'touch /tmp/x && touch /file'
expect "a tmpfs" 0 '^1024 1777$' "${once[@]}" --tmpfs /t:size=1m,mode=1777 $image sh -c "echo \$(df -k /t | awk 'END { print \$2 }') \$(stat -c %a /t)"
expect "a volume is filled from the image and kept" 0 'no program' bash -c \
    "${once[*]} -v kept:/etc $image true && ${once[*]} -v kept:/k $image cat /k/text && $p volume rm kept >/dev/null"
mkdir "$WORK/v" && echo inside >"$WORK/v/f"
expect "a directory of the host, read-only" 1 'Read-only file system' "${once[@]}" -v "$WORK/v:/v:ro" $image sh -c 'cat /v/f && touch /v/g'
expect "a device" 0 '^1 7$' "${once[@]}" --device /dev/full:/dev/extra $image stat -c '%t %T' /dev/extra
expect "a limit and a sysctl" 0 '^64 33000$' "${once[@]}" --ulimit nofile=64:64 --ulimit nproc=2048:2048 --sysctl kernel.shmmax=33000 $image sh -c \
    "echo \$(ulimit -n) \$(cat /proc/sys/kernel/shmmax)"
expect "ids are mapped" 0 '^0 100000 5000$' "${once[@]}" --uidmap 0:100000:5000 --gidmap 0:100000:5000 $image sh -c "awk '{ print \$1, \$2, \$3 }' /proc/self/uid_map"
expect "an init" 0 'init|catatonit' "${once[@]}" --init $image cat /proc/1/comm
expect "as for systemd" 0 '^tmpfs$' "${once[@]}" --systemd always $image sh -c "awk '\$2 == \"/run\" { print \$1 }' /proc/mounts"
expect "annotations for systemd" 0 '^fine$' "${once[@]}" --annotation org.systemd.property.TimeoutStopUSec='uint64 5000000' \
    --annotation "org.systemd.property.TasksMax=uint64 50" $image echo fine
expect "privileged, or told why not" '0|126' '(^0*[0-9a-f]+$|not permitted)' "${once[@]}" --privileged $image sh -c "awk '/CapEff/ { print \$2 }' /proc/self/status"
expect "the host's namespaces" 0 "^$(stat -Lc %i /proc/self/ns/uts) $(stat -Lc %i /proc/self/ns/ipc)$" \
    "${once[@]}" --uts host --ipc host $image sh -c "echo \$(stat -Lc %i /proc/self/ns/uts /proc/self/ns/ipc)"
expect "masked paths" 0 '^0$' "${once[@]}" $image sh -c 'cat /proc/keys | wc -c'

# Detached.
loop='trap "exit 9" TERM; echo out; echo err >&2; while :; do sleep 0.1; done'
expect "run --detach prints the id" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --name live --env COLOUR=blue --pidfile "$WORK/pid" \
    --memory 64m --memory-swap 64m --pids-limit 99 --cpus 0.5 --cpuset-cpus 0 $image sh -c "$loop"
expect "the pid file is its own" 0 "^$(state live Pid)$" cat "$WORK/pid"
eventually 10 bash -c "$p logs live 2>&1 | grep -q err" || true
expect "both streams are in the logs" 0 $'out\nerr|err\nout' "${podman[@]}" logs live
cgroup=$(cgroup_of live)
judge "memory is limited" 0 '^67108864$' 0 "$(cgroup_file memory memory.limit_in_bytes memory.max "$cgroup" 2>&1)"
judge "processes are limited" 0 '^99$' 0 "$(cgroup_file pids pids.max pids.max "$cgroup" 2>&1)"
judge "processor time is limited" 0 '^50000' 0 "$(cgroup_file cpu cpu.cfs_quota_us cpu.max "$cgroup" 2>&1)"
expect "exec prints" 0 '^hello$' "${podman[@]}" exec live echo hello
expect "exec's status is the command's" 7 '' "${podman[@]}" exec live sh -c 'exit 7'
expect "exec of a missing command is 127" 127 'executable file .*not found in \$PATH' "${podman[@]}" exec live no-such-command
expect "exec of a missing path is 127" 127 '[Nn]o such file or directory' "${podman[@]}" exec live /no/such/command
expect "exec of a file that may not be run is 126" 126 '[Pp]ermission denied' "${podman[@]}" exec live /etc/text
expect "exec has environment, directory and user" 0 '^blue red /home 1000:100$' "${podman[@]}" exec --env SHADE=red --workdir /home \
    --user 1000:100 live sh -c "echo \$COLOUR \$SHADE \$PWD \$(id -u):\$(id -g)"
got=0
output=$(echo over | timeout 30 "${podman[@]}" exec --interactive live cat 2>&1) || got=$?
judge "exec's standard input arrives" 0 '^over$' "$got" "$output"
expect "exec has a terminal" 0 '/dev/(pts/[0-9]+|console)' script -qec "$p exec -it live tty" /dev/null
expect "a command typed at it runs" 0 'typed 42' bash -c \
    "{ sleep 1; printf 'echo typed \$((6*7))\nexit\n'; sleep 1; } | script -qec '$p exec -it live sh' /dev/null"
expect "a detached exec" 0 '[0-9a-f]*' "${podman[@]}" exec --detach live sleep 1000
expect "top shows it" 0 'sleep 1000' "${podman[@]}" top live pid args
expect "stats" 0 '^live ' "${podman[@]}" stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' live
expect "five execs at once" 0 '^5$' bash -c "for n in 1 2 3 4 5; do $p exec live echo one & done | grep -c one"
expect "pause" 0 'live|[0-9a-f]{64}' "${podman[@]}" pause live
judge "it is paused" 0 '^paused$' 0 "$(state live Status)"
expect "exec in a paused container is refused" 255 'running|paused' "${podman[@]}" exec live true
expect "unpause" 0 'live|[0-9a-f]{64}' "${podman[@]}" unpause live
echo from-host >"$WORK/f"
expect "cp in and out" 0 '^from-host$' bash -c "$p cp $WORK/f live:/home/f && $p cp live:/home/f $WORK/g && cat $WORK/g"
expect "diff" 0 'A /home/f' "${podman[@]}" diff live
expect "commit, and what was committed runs" 0 '^from-host$' bash -c "$p commit -q live committed >/dev/null && ${once[*]} committed cat /home/f"
expect "export" 0 '(^|[[:space:]])(\./)?home/f' bash -c "$p export live | tar -t"
expect "checkpoint is refused" 125 'checkpoint|criu|CRIU' "${podman[@]}" container checkpoint live
expect "the container has lived through it" 0 '^here$' "${podman[@]}" exec live echo here
expect "a running container is not removed" 2 'running' "${podman[@]}" rm live
expect "restart" 0 'live|[0-9a-f]{64}' "${podman[@]}" restart -t 20 live
expect "exec after a restart" 0 '^back$' "${podman[@]}" exec live echo back
expect "stop ends it by SIGTERM" 0 'live|[0-9a-f]{64}' "${podman[@]}" stop -t 20 live
judge "its own exit status is kept" 0 '^9$' 0 "$(state live ExitCode)"
expect "start, kill and wait" 0 '137' bash -c "$p start live >/dev/null && $p kill live >/dev/null && $p wait live"
expect "removal" 0 'live|[0-9a-f]{64}' "${podman[@]}" rm live
expect "one that ignores SIGTERM is killed" 0 '^137$' bash -c "
    ${run[*]} --detach --name deaf $image sh -c 'trap \"\" TERM; sleep 1000 & wait' >/dev/null
    $p stop -t 1 deaf >/dev/null 2>&1; $p inspect --format '{{.State.ExitCode}}' deaf; $p rm deaf >/dev/null"
expect "created, then started in the foreground" 3 '^late$' bash -c "
    $p create --name late --network none --cgroup-parent /$TAG $image sh -c 'echo late; exit 3' >/dev/null
    $p start --attach late; code=\$?; $p rm late >/dev/null; exit \$code"
expect "memory beyond the limit is killed" 0 '^137 ' bash -c "
    ${run[*]} --name oom --memory 16m --memory-swap 16m $image sh -c 'x=\$(cat /dev/zero | head -c 64000000 | tr \"\\0\" x)' >/dev/null 2>&1
    sleep 1; $p inspect --format '{{.State.ExitCode}} {{.State.OOMKilled}}' oom; $p rm oom >/dev/null"
expect "a restart policy" 0 '^2$' bash -c "
    ${run[*]} --detach --name policy --restart on-failure:2 $image false >/dev/null
    for i in \$(seq 60); do [ \$($p inspect --format '{{.State.Status}}{{.RestartCount}}' policy) = exited2 ] && break; sleep 0.2; done
    $p inspect --format '{{.RestartCount}}' policy; $p rm -f policy >/dev/null"
expect "a health check" 0 '^1 0$' bash -c "
    ${run[*]} --detach --name well --health-interval disable --health-cmd 'cat /tmp/well' $image sleep 1000 >/dev/null
    $p healthcheck run well >/dev/null 2>&1; bad=\$?; $p exec well touch /tmp/well; $p healthcheck run well >/dev/null 2>&1
    echo \$bad \$?; $p rm -f -t 0 well >/dev/null"

end
