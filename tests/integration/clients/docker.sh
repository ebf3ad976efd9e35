# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# Docker: run, foreground and detached, exit codes, logs, limits, networks, stop, kill, removal.
#
# Sourced by `run` inside the private namespaces. The runtime is the daemon's default one, by --add-runtime.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
begin --iptables=false --ip-masq=false
expect "the runtime is the default one" 0 '^alt$' docker info --format '{{.DefaultRuntime}}'
expect "no network is none" 0 '^lo$' "${once[@]}" $image ls /sys/class/net
mounts >"$WORK/mounts"

# Foreground.
expect "the runtime is chosen per container" 0 '^chosen$' "${once[@]}" --runtime alt $image echo chosen
expect "run prints and ends" 0 '^hello$' "${once[@]}" $image echo hello
expect "the command's exit status is docker's" 7 '' "${once[@]}" $image sh -c 'exit 7'
expect "a missing command is 127" 127 'executable file not found in \$PATH' "${once[@]}" $image no-such-command
expect "a missing path is 127" 127 'no such file or directory' "${once[@]}" $image /no/such/command
expect "a file that may not be run is 126" 126 'permission denied' "${once[@]}" $image /etc/text
expect "a terminal is the container's" 0 '/dev/(pts/0|console)' "${once[@]}" --tty $image tty
expect "a terminal has the client's size" 0 '33 77$' \
    script -qec "stty rows 33 cols 77; ${once[*]} -it $image sh -c 'sleep 1; stty size'" /dev/null
got=0
output=$(echo over | timeout 60 "${once[@]}" --interactive $image cat 2>&1) || got=$?
judge "standard input arrives" 0 '^over$' "$got" "$output"
expect "signals of the client arrive" 9 '' \
    timeout --signal TERM --preserve-status 3 "${once[@]}" $image sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'

# What the container sees.
expect "hostname, environment and directory are set" 0 '^box blue /home$' \
    "${once[@]}" --hostname box --env COLOUR=blue --workdir /home $image sh -c "echo \$(hostname) \$COLOUR \$PWD"
expect "a missing directory is made" 0 '^/made/here$' "${once[@]}" --workdir /made/here $image pwd
expect "user and groups are set" 0 '^uid=1000 gid=100(\(users\))? groups=100(\(users\))?,4242$' \
    "${once[@]}" --user 1000:100 --group-add 4242 $image id
expect "it is pid 1 of its namespace" 0 '^1$' "${once[@]}" $image sh -c "echo \$\$"
expect "an init reaps for the command" 0 '^(docker-init|tini)$' "${once[@]}" --init $image cat /proc/1/comm
expect "default capabilities are Docker's" 0 '^CapEff:[[:space:]]0*a80425fb$' "${once[@]}" $image grep CapEff /proc/self/status
expect "capabilities are dropped and added" 0 '^CapEff:[[:space:]]0*1000$' \
    "${once[@]}" --cap-drop ALL --cap-add NET_ADMIN $image grep CapEff /proc/self/status
expect "no new privileges" 0 '1$' "${once[@]}" --security-opt no-new-privileges $image grep NoNewPrivs /proc/self/status
expect "a read-only root refuses writes" 1 'Read-only file system' "${once[@]}" --read-only $image touch /file
expect "a tmpfs has its size" 0 ' 1048576$' \
    "${once[@]}" --read-only --tmpfs /tmp:size=1m $image sh -c "touch /tmp/a && stat -f -c '%S %b' /tmp | awk '{ print \"size\", \$1 * \$2 }'"
mkdir "$WORK/volume" && echo inside >"$WORK/volume/file"
expect "a directory of the host is mounted" 0 '^inside$' "${once[@]}" --volume "$WORK/volume:/volume" $image cat /volume/file
expect "a file of the host is mounted read-only" 1 'Read-only file system' \
    "${once[@]}" --volume "$WORK/volume/file:/file:ro" $image sh -c 'echo changed >/file'
expect "a named volume is kept" 0 '^kept$' bash -c \
    "${once[*]} -v kept:/v $image sh -c 'echo kept >/v/f' && ${once[*]} -v kept:/v $image cat /v/f && docker volume rm kept >/dev/null"
expect "masked paths read as empty" 0 '^0$' "${once[@]}" $image sh -c 'cat /proc/keys | wc -c'
expect "read-only paths refuse writes" 1 'Read-only file system' "${once[@]}" $image sh -c 'echo 1 >/proc/sys/kernel/printk'
expect "a sysctl is set" 0 '^1$' "${once[@]}" --sysctl net.ipv4.ip_forward=1 $image cat /proc/sys/net/ipv4/ip_forward
expect "a limit is set" 0 '^64$' "${once[@]}" --ulimit nofile=64:64 $image sh -c 'ulimit -n'
expect "the badness for the OOM killer is set" 0 '^500$' "${once[@]}" --oom-score-adj 500 $image cat /proc/self/oom_score_adj
expect "a device is added" 0 '^1 7$' "${once[@]}" --device /dev/full:/dev/extra:rw $image stat -c '%t %T' /dev/extra
expect "shared memory has its size" 0 '^2048$' "${once[@]}" --shm-size 2m $image sh -c "df -k /dev/shm | awk 'END { print \$2 }'"

# shellcheck source=seccomp.sh
source "$HERE/seccomp.sh"
docker_seccomp

# Limits, seen from the host.
expect "a container with limits is started" 0 '^[0-9a-f]{64}$' \
    "${run[@]}" --detach --name limits --memory 32m --pids-limit 77 --cpus 0.5 $image sleep 1000
cgroup=$TAG/$(docker inspect --format '{{.Id}}' limits)
judge "memory is limited" 0 '^33554432$' 0 "$(cgroup_file memory memory.limit_in_bytes memory.max "$cgroup" 2>&1)"
judge "processes are limited" 0 '^77$' 0 "$(cgroup_file pids pids.max pids.max "$cgroup" 2>&1)"
judge "processor time is limited" 0 '^50000' 0 "$(cgroup_file cpu cpu.cfs_quota_us cpu.max "$cgroup" 2>&1)"

# Namespaces of others.
expect "another's namespaces are joined" 0 '^3$' docker run --rm \
    --network container:limits --pid container:limits $image sh -c \
    "n=0; for k in net pid; do [ \$(stat -Lc %i /proc/1/ns/\$k) = \$(stat -Lc %i /proc/self/ns/\$k) ] && n=\$((n + 1)); done
     grep -q sleep /proc/1/cmdline && n=\$((n + 1)); echo \$n"
expect "the host's process ids and names are kept" 0 "^$(stat -Lc %i /proc/self/ns/uts) $(stat -Lc %i /proc/self/ns/pid)$" \
    "${once[@]}" --pid host --uts host $image sh -c "echo \$(stat -Lc %i /proc/self/ns/uts /proc/self/ns/pid)"
expect "a removal by force ends it" 0 '^limits$' docker rm --force limits

# A network: its namespace is set up by a prestart hook of Docker's.
expect "the bridge gives an address" 0 'inet 172\.' \
    docker run --rm --network bridge $image ip -4 addr show eth0
expect "a port is reached" 0 '^served$' bash -c "
    docker run --detach --name web --network bridge $image \
        sh -c 'mkdir /w && echo served >/w/f && httpd -f -p 80 -h /w' >/dev/null
    address=\$(docker inspect --format '{{.NetworkSettings.IPAddress}}' web)
    for try in 1 2 3 4 5 6 7 8 9 10; do busybox wget -qO- http://\$address/f && break; sleep 0.3; done
    docker rm --force web >/dev/null"

# Detached.
expect "run --detach prints the id" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --name d1 $image \
    sh -c 'echo out; echo err >&2; trap "exit 9" TERM; while :; do sleep 0.1; done'
eventually 10 bash -c 'docker logs d1 2>&1 | grep -q err' || true
expect "both streams are in the logs" 0 $'out\nerr|err\nout' docker logs d1
expect "it runs" 0 '^true$' docker inspect --format '{{.State.Running}}' d1
expect "its process is where Docker says" 0 "^sh$" cat "/proc/$(pid_of d1)/comm"
expect "a running container is not removed" 1 'cannot remove a running container' docker rm d1
expect "stop ends it by SIGTERM" 0 '^d1$' docker stop -t 20 d1
judge "its own exit status is kept" 0 '^9$' 0 "$(state d1 ExitCode)"
expect "it starts again" 0 '^d1$' docker start d1
expect "it is restarted" 0 '^d1$' docker restart -t 20 d1
expect "kill sends a signal" 0 '^d1$' docker kill --signal KILL d1
expect "wait tells the exit status" 0 '^137$' docker wait d1
expect "it is removed" 0 '^d1$' docker rm d1

expect "one that ignores SIGTERM is started" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --name d2 $image \
    sh -c 'trap "" TERM; sleep 1000 & wait'
expect "stop kills it when the time is over" 0 '^d2$' docker stop -t 1 d2
judge "its exit status is 137" 0 '^137$' 0 "$(state d2 ExitCode)"
expect "it is removed as well" 0 '^d2$' docker rm d2

expect "one is created only" 0 '^[0-9a-f]{64}$' docker create --name d3 --network none $image sh -c 'echo late; exit 3'
expect "start runs it in the foreground" 3 '^late$' docker start --attach d3
expect "and it is removed" 0 '^d3$' docker rm d3

expect "a restart policy starts it again" 0 '^2$' bash -c "
    ${run[*]} --detach --name d4 --restart on-failure:2 $image false >/dev/null
    for try in \$(seq 100); do
        [ \$(docker inspect --format '{{.State.Status}}{{.RestartCount}}' d4) = exited2 ] && break; sleep 0.1
    done
    docker inspect --format '{{.RestartCount}}' d4; docker rm --force d4 >/dev/null"
# containerd's shim hears of the memory and of the end on two ways, and the end may overtake; then Docker
# passes the other over. Often enough it does not.
expect "memory beyond the limit is killed and told" 0 '^137 true$' bash -c "
    for try in 1 2 3 4 5; do
        ${run[*]} --name d5 --memory 16m --memory-swap 16m $image sh -c 'x=\$(cat /dev/zero | head -c 64000000 | tr \"\\0\" x)' >/dev/null 2>&1
        told=\$(docker inspect --format '{{.State.ExitCode}} {{.State.OOMKilled}}' d5); docker rm d5 >/dev/null
        [ \"\$told\" = '137 false' ] || break
    done
    echo \"\$told\""
expect "ten at once" 0 '^10$' bash -c "
    for n in 0 1 2 3 4 5 6 7 8 9; do ${once[*]} $image echo one & done | grep -c one"

end
