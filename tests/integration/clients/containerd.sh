# shellcheck shell=bash
# containerd's own client `ctr`: run, foreground and detached, exit codes, signals, removal.
#
# Sourced by `run` inside the private namespaces. The runtime is chosen per container, by --runc-binary.

image=localhost/corten-check:1
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
    containerd --config "$WORK/config.toml" --log-level warn >>"$WORK/containerd.log" 2>&1 &
    daemon_pid=$!
    eventually 30 client version >/dev/null 2>&1
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
nothing_left "no state is left" entries "$states/$ns" "/run/containerd/io.containerd.runtime.v2.task/$ns"
nothing_left "no process is left" processes containerd
nothing_left "no mount is left" new_mounts "$WORK/mounts"
nothing_left "no cgroup is left" cgroups
daemon_stops "$daemon_pid"
