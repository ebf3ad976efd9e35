# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# containerd's own client `ctr`: run with all it takes, tasks, exec, metrics, signals, removal.
#
# Sourced by `run` inside the private namespaces. The runtime is chosen per container, by --runc-binary.

image=localhost/corten-check:1
# On a busy machine ctr opens its end of a fifo after a short process has ended, and then waits for nothing:
# one in some hundred runs says nothing and succeeds. `expect` asks once more then.
loses_output=yes # read by lib.sh
states=$WORK/states            # the runtime's --root: containerd adds its namespace's name
ns=$TAG                        # containerd's namespace; cgroups are /NAMESPACE/CONTAINER then
socket=$WORK/c.sock

daemon() {
    cat >"$WORK/config.toml" <<TOML
version = 2
root = "$WORK/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$socket"
[ttrpc]
  address = "$socket.ttrpc"
TOML
    mkdir -p "$WORK/bin" && ln -sf "$RUNTIME" "$WORK/bin/runc"
    PATH=$WORK/bin:$PATH containerd --config "$WORK/config.toml" --log-level warn >>"$WORK/containerd.log" 2>&1 &
    daemon_pid=$!
    eventually 30 answers "$daemon_pid" client version && kill -0 "$daemon_pid"
}

client() { ctr --address "$socket" --namespace "$ns" "$@"; }
# One command line for `expect`, which cannot call a function under timeout(1).
ctr=(ctr --address "$socket" --namespace "$ns")
run=("${ctr[@]}" run --snapshotter "${SNAPSHOTTER:-overlayfs}" --runc-binary "$RUNTIME" --runc-root "$states")

status_is() { [ "$(client task ls | awk -v id="$1" '$1 == id { print $3 }')" = "$2" ]; }
pid_of() { client task ls | awk -v id="$1" '$1 == id { print $2 }'; }
gone() { [ ! -e "/proc/$1" ]; }
# The shim of container $1, by its command line.
shim_of() {
    local line
    for line in /proc/[0-9]*/cmdline; do
        tr '\0' ' ' <"$line" 2>/dev/null | grep -q -- "containerd-shim-runc-v2 .*-id $1 " && basename "$(dirname "$line")"
    done
}

if ! daemon; then
    fail "the daemon starts" "$(cat "$WORK/containerd.log")"
    exit 0
fi
bash "$HERE/image.sh" "$WORK/image.tar"
expect "an image made here is imported" 0 "corten-check" "${ctr[@]}" images import --snapshotter "${SNAPSHOTTER:-overlayfs}" "$WORK/image.tar"
ip netns add "$TAG"            # before the list: what it mounts for itself is no leftover of ours
mounts >"$WORK/mounts"

# Foreground.
expect "run prints and ends" 0 '^hello$' "${run[@]}" --rm $image c1 echo hello
expect "the command's exit status is ctr's" 7 '' "${run[@]}" --rm $image c2 sh -c 'exit 7'
expect "both streams arrive" 0 'err' "${run[@]}" --rm $image c3 sh -c 'echo out; echo err >&2'
expect "a missing command is named" 1 'no-such-command.*(executable file not found|[Nn]o such file)' \
    "${run[@]}" --rm $image c4 no-such-command
client container rm c4 >/dev/null 2>&1 || true
expect "a terminal is the container's" 0 '/dev/(pts/0|console)' \
    script -qec "${run[*]} --rm --tty $image c5 tty" /dev/null
expect "the environment and the directory are set" 0 '^blue /home$' \
    "${run[@]}" --rm --env COLOUR=blue --cwd /home $image c6 sh -c "echo \$COLOUR \$PWD"
expect "it is pid 1 of its namespace" 0 '^1$' "${run[@]}" --rm $image c7 sh -c "echo \$\$"
expect "a read-only root refuses writes" 1 'Read-only file system' \
    "${run[@]}" --rm --read-only $image c8 touch /file
mkdir "$WORK/volume" && echo inside >"$WORK/volume/file"
expect "a directory of the host is mounted" 0 '^inside$' \
    "${run[@]}" --rm --mount "type=bind,src=$WORK/volume,dst=/volume,options=rbind:ro" $image c9 cat /volume/file
expect "a capability is dropped" 0 '^CapEff:[[:space:]]0*a80425fa$' \
    "${run[@]}" --rm --cap-drop CAP_CHOWN $image c10 grep CapEff /proc/self/status
expect "no new privileges by default" 0 '1$' "${run[@]}" --rm $image c11 grep NoNewPrivs /proc/self/status
expect "an existing network namespace is joined" 0 "^$(stat -Lc %i "/run/netns/$TAG")$" \
    "${run[@]}" --rm --with-ns "network:/run/netns/$TAG" $image c12 stat -Lc %i /proc/self/ns/net
expect "the host's network is kept" 0 "^$(stat -Lc %i /proc/self/ns/net)$" \
    "${run[@]}" --rm --net-host $image c13 stat -Lc %i /proc/self/ns/net
expect "ids are mapped" 0 '^0 +100000 +65536$' "${run[@]}" --rm \
    --uidmap 0:100000:65536 --gidmap 0:100000:65536 $image c14 sh -c 'cat /proc/self/uid_map | tr -s " " | sed "s/^ //"'
got=0
output=$({ sleep 1; echo over; sleep 1; } | timeout 60 "${run[@]}" --rm $image c15 cat 2>&1) || got=$?
judge "standard input arrives" 0 '^over$' "$got" "$output"

# shellcheck source=seccomp.sh
source "$HERE/seccomp.sh"
containerd_seccomp

# Detached.
expect "run --detach returns" 0 '' "${run[@]}" --detach --memory-limit 33554432 --pid-file "$WORK/pid" $image d1 \
    sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'
expect "the task runs" 0 "d1 +[0-9]+ +RUNNING" "${ctr[@]}" task ls
expect "the pid file is the task's" 0 "^$(pid_of d1)$" cat "$WORK/pid"
judge "the memory limit is set" 0 '^33554432$' 0 \
    "$(cgroup_file memory memory.limit_in_bytes memory.max "$ns/d1" 2>&1)"
expect "a running task is not removed" 1 'must be stopped' "${ctr[@]}" task rm d1
expect "kill sends the signal" 0 '' "${ctr[@]}" task kill --signal SIGTERM d1
if eventually 10 status_is d1 STOPPED; then pass "the task stops"; else fail "the task stops" "$(client task ls)"; fi
expect "removal reports the exit status" 0 'exit code 9"' "${ctr[@]}" task rm d1
expect "the container is removed" 0 '' "${ctr[@]}" container rm d1

expect "another is started" 0 '' "${run[@]}" --detach $image d2 sh -c 'sleep 1000 & sleep 1001'
expect "kill --all SIGKILL ends every process" 0 '' "${ctr[@]}" task kill --all --signal SIGKILL d2
eventually 10 status_is d2 STOPPED || fail "the killed task stops"
expect "a killed task's status is 137" 0 'exit code 137"' "${ctr[@]}" task rm d2
expect "its container is removed" 0 '' "${ctr[@]}" container rm d2

# The rest of what `run` takes.
expect "processor limits" 0 '^[0-9a-z]*$' "${run[@]}" --detach --cpus 0.5 --cpu-shares 512 --cgroup "/$ns/apart" $image l1 sleep 1000
judge "quota" 0 '^50000' 0 "$(cgroup_file cpu cpu.cfs_quota_us cpu.max "$ns/apart" 2>&1)"
judge "shares" 0 '^(512|20|59)$' 0 "$(cgroup_file cpu cpu.shares cpu.weight "$ns/apart" 2>&1)"
client task kill --signal SIGKILL l1
eventually 10 status_is l1 STOPPED || fail "the limited task stops"
expect "its task is removed by force" 0 '' "${ctr[@]}" task rm --force l1
expect "and its container" 0 '' "${ctr[@]}" container rm l1
expect "a device is added" 0 '^1 7$' "${run[@]}" --rm --device /dev/full $image r1 stat -c '%t %T' /dev/full
expect "capabilities are added" 0 '^CapEff:[[:space:]]0*a80435fb$' "${run[@]}" --rm --cap-add CAP_NET_ADMIN $image r2 grep CapEff /proc/self/status
expect "new privileges are allowed" 0 '0$' "${run[@]}" --rm --allow-new-privs $image r3 grep NoNewPrivs /proc/self/status
expect "the default filter" 0 '2$' "${run[@]}" --rm --seccomp $image r4 grep Seccomp: /proc/self/status
echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}' >"$WORK/filter"
expect "a filter of one's own" 1 'not supported' "${run[@]}" --rm --seccomp --seccomp-profile "$WORK/filter" $image r5 mkdir /tmp/x
printf 'COLOUR=blue\nSHADE=red\n' >"$WORK/env"
expect "an environment from a file" 0 '^blue red$' "${run[@]}" --rm --env-file "$WORK/env" $image r6 sh -c "echo \$COLOUR \$SHADE"
expect "a privileged one, or told why not" '0|1' '(^0*[0-9a-f]+$|not permitted)' "${run[@]}" --rm --privileged $image r7 sh -c "awk '/CapEff/ { print \$2 }' /proc/self/status"
client container rm r7 >/dev/null 2>&1 || true
expect "without pivot_root" 0 '^bin ' "${run[@]}" --rm --no-pivot $image r8 sh -c 'ls / | tr "\n" " "'
expect "a log file instead of a terminal" 0 '' "${run[@]}" --rm --log-uri "file://$WORK/log" $image r9 echo logged
judge "has the words" 0 'logged' 0 "$(cat "$WORK/log" 2>&1)"
expect "no streams at all" 0 '^$' "${run[@]}" --rm --null-io $image r10 echo nowhere
expect "propagation of the root" 0 '^(shared|private)$' "${run[@]}" --rm --rootfs-propagation rshared $image r11 \
    sh -c "awk '\$5 == \"/\" { print (\$7 ~ /shared/) ? \"shared\" : \"private\" }' /proc/self/mountinfo"
mkdir -p "$WORK/rootfs/bin" "$WORK"/rootfs/{dev,proc,sys,run} && cp /bin/busybox "$WORK/rootfs/bin/sh"
expect "a root file system of one's own" 0 '^own$' "${run[@]}" --rm --rootfs "$WORK/rootfs" r12 /bin/sh -c 'echo own'
# Without --runc-binary: the daemon finds it as `runc` in its PATH.
expect "created first" 0 '' "${ctr[@]}" container create --snapshotter "${SNAPSHOTTER:-overlayfs}" $image m1 cat /no/such
expect "then started" 1 'No such file' "${ctr[@]}" task start m1
client task rm m1 >/dev/null 2>&1 || true
expect "and removed" 0 '' "${ctr[@]}" container rm m1
expect "systemd's cgroups without systemd are refused" 1 'systemd' "${run[@]}" --rm --runc-systemd-cgroup --cgroup system.slice:corten:x $image r13 true
client container rm r13 >/dev/null 2>&1 || true
expect "twenty in a row" 0 '^20$' bash -c "for n in \$(seq 20); do ${run[*]} --rm $image s\$n echo one; done | grep -c one"
expect "ten at once" 0 '^10$' bash -c "for n in 0 1 2 3 4 5 6 7 8 9; do ${run[*]} --rm $image p\$n echo one & done | grep -c one; wait"

# A running task.
client events >"$WORK/events" 2>&1 &
events=$!
expect "a task is started" 0 '' "${run[@]}" --detach --memory-limit 67108864 --env COLOUR=blue $image t1 \
    sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'
exec=("${ctr[@]}" task exec --exec-id)
expect "exec prints" 0 '^hello$' "${exec[@]}" e1 t1 echo hello
expect "exec's status is the command's" 7 '' "${exec[@]}" e2 t1 sh -c 'exit 7'
expect "exec has environment, directory and user" 0 '^blue /home 1000:100$' \
    "${exec[@]}" e3 --cwd /home --user 1000:100 t1 sh -c "echo \$COLOUR \$PWD \$(id -u):\$(id -g)"
expect "exec of a missing command is told" 1 'executable file not found|[Nn]o such file' "${exec[@]}" e4 t1 no-such-command
got=0
output=$({ sleep 1; echo over; sleep 1; } | timeout 60 "${exec[@]}" e5 t1 cat 2>&1) || got=$?
judge "exec's standard input arrives" 0 '^over$' "$got" "$output"
expect "exec has a terminal" 0 '/dev/(pts/[0-9]+|console)' script -qec "${exec[*]} e6 --tty t1 tty" /dev/null
expect "a command typed at it runs" 0 'typed 42' bash -c \
    "{ sleep 1; printf 'echo typed \$((6*7))\nexit\n'; sleep 1; } | script -qec '${exec[*]} e7 --tty t1 sh' /dev/null"
expect "exec has the task's cgroups and namespaces" 0 '^same$' "${exec[@]}" e8 t1 sh -c \
    "[ \"\$(cat /proc/1/cgroup)\" = \"\$(cat /proc/self/cgroup)\" ] && [ \$(stat -Lc %i /proc/1/ns/pid) = \$(stat -Lc %i /proc/self/ns/pid) ] && echo same"
expect "a detached exec" 0 '' "${exec[@]}" e9 --detach t1 sleep 1000
expect "ps lists its processes" 0 'PID.*[0-9]+.*[0-9]+' bash -c "${ctr[*]} task ps t1 | tr '\n' ' '"
expect "five execs at once" 0 '^5$' bash -c "for n in 1 2 3 4 5; do ${exec[*]} x\$n t1 echo one & done | grep -c one; wait"
expect "ten execs in a row" 0 '^10$' bash -c "for n in \$(seq 10); do ${exec[*]} y\$n t1 echo one; done | grep -c one"
expect "metrics" 0 'memory' bash -c "${ctr[*]} task metrics t1 | tr '\n' ' '"
expect "metrics as JSON" 0 '"limit": ?67108864' bash -c "${ctr[*]} task metrics --format json t1"
expect "pause" 0 '' "${ctr[@]}" task pause t1
if eventually 5 status_is t1 PAUSED; then pass "it is paused"; else fail "it is paused" "$(client task ls)"; fi
expect "exec in a paused task is refused" 1 'paused' "${exec[@]}" e10 t1 true
expect "resume" 0 '' "${ctr[@]}" task resume t1
expect "exec after it" 0 '^here$' "${exec[@]}" e11 t1 echo here
expect "a checkpoint is refused" 1 '(checkpoint|criu|CRIU)' "${ctr[@]}" task checkpoint t1
if status_is t1 RUNNING; then pass "the task has lived through it"; else fail "the task has lived through it" "$(client task ls)"; fi
expect "its signal ends it" 0 '' "${ctr[@]}" task kill --signal SIGTERM t1
eventually 10 status_is t1 STOPPED || fail "the signalled task stops"
expect "exec in a stopped task is refused" 1 '(not running|stopped|not found|does not exist)' "${exec[@]}" e12 t1 true
expect "its status is its own" 0 'exit code 9"' "${ctr[@]}" task rm t1
expect "its container is removed again" 0 '' "${ctr[@]}" container rm t1
expect "memory beyond the limit ends it" 137 '' "${run[@]}" --memory-limit 16777216 $image o1 sh -c 'x=$(cat /dev/zero | head -c 64000000 | tr "\0" x)'
client task rm o1 >/dev/null 2>&1 || true
expect "and it is removed" 0 '' "${ctr[@]}" container rm o1
kill "$events" && wait "$events"
expect "events tell of start, exec, pause and exit" 0 '/tasks/start.*/tasks/exec-started.*/tasks/paused.*/tasks/exit' bash -c "tr '\n' ' ' <'$WORK/events'"

# Faults.
expect "one more is started" 0 '' "${run[@]}" --detach $image d4 sleep 1000
init=$(pid_of d4)
daemon_stops "$daemon_pid"
if daemon && status_is d4 RUNNING; then pass "a new daemon finds the task running"; else fail "a new daemon finds the task running" "$(client task ls)"; fi
shim=$(shim_of d4)
if [ -n "$shim" ] && kill -KILL "$shim" && eventually 20 gone "$init"; then pass "the task of a killed shim is cleaned up"; else fail "the task of a killed shim is cleaned up" "pid $init"; fi
client task rm --force d4 >/dev/null 2>&1 || true
expect "the container of a killed shim is removed" 0 '' "${ctr[@]}" container rm d4

nothing_left "no task is left" "${ctr[@]}" task ls --quiet
nothing_left "no container is left" "${ctr[@]}" container ls --quiet
nothing_left "no state is left" entries "$states/$ns" "/run/containerd/runc/$ns" "/run/containerd/io.containerd.runtime.v2.task/$ns"
nothing_left "no process is left" processes containerd
nothing_left "no mount is left" new_mounts "$WORK/mounts"
nothing_left "no cgroup is left" cgroups
daemon_stops "$daemon_pid"
