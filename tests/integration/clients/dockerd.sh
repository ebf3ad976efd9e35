# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the files that source this
# What the Docker checks share: a daemon of our own whose default runtime is the one under test, and the
# search for what is left of its containers.
#
# Sourced by the files of checks. Also the daemon's `runc`, which its BuildKit looks for by name, is the
# runtime under test.

image=localhost/corten-check:1
export DOCKER_HOST=unix://$WORK/d.sock DOCKER_CONFIG=$WORK/client

# daemon FLAG…: starts dockerd with more flags and waits until it answers. The runtime is told by flags, or
# with BY_FILE by the configuration file.
daemon() {
    local choose=(--add-runtime "alt=$RUNTIME" --default-runtime alt)
    if [ -n "${BY_FILE:-}" ]; then
        choose=(--config-file "$WORK/daemon.json")
        echo '{ "runtimes": { "alt": { "path": "'"$RUNTIME"'" } }, "default-runtime": "alt" }' >"$WORK/daemon.json"
    fi
    mkdir -p "$WORK/bin" && ln -sf "$RUNTIME" "$WORK/bin/runc"
    PATH=$WORK/bin:$PATH dockerd --host "$DOCKER_HOST" --data-root "$WORK/data" --exec-root "$WORK/exec" \
        --pidfile "$WORK/docker.pid" "${choose[@]}" --cgroup-parent "/$TAG" \
        --userland-proxy=false --oom-score-adjust 0 --log-level warn ${STORAGE:+--storage-driver "$STORAGE"} \
        "$@" >>"$WORK/docker.log" 2>&1 &
    daemon_pid=$!
    eventually 60 answers "$daemon_pid" docker version && kill -0 "$daemon_pid"
}

# begin FLAG…: the daemon with our image, or the end of these checks.
begin() {
    if ! daemon "$@"; then
        fail "the daemon starts" "$(cat "$WORK/docker.log")"
        exit 0
    fi
    bash "$HERE/image.sh" "$WORK/image.tar"
    expect "an image made here is loaded" 0 'corten-check:1' docker load --input "$WORK/image.tar"
    # The daemon keeps a network namespace of its own mounted once a container has used the host's network;
    # this makes it, before the list of mounts that leftovers are compared with.
    expect "the host's network is kept" 0 "^$(stat -Lc %i /proc/self/ns/net)$" \
        docker run --rm --network host --userns host $image stat -Lc %i /proc/self/ns/net
}

run=(docker run --network none)
once=("${run[@]}" --rm)
state() { docker inspect --format "{{.State.$2}}" "$1"; }
pid_of() { state "$1" Pid; }
gone() { [ ! -e "/proc/$1" ]; }
says() { docker logs "$1" 2>&1 | grep -q -- "$2"; }
is() { [ "$(docker inspect --format "{{.State.$2}}" "$1" 2>/dev/null)" = "$3" ]; }

# end: nothing of any container is left, and the daemon stops.
end() {
    nothing_left "no container is left" docker ps --all --quiet
    nothing_left "no state is left" entries "$WORK/exec/runtime-alt/moby" "$WORK/exec/runtime-runc/moby" \
        "$WORK/exec/containerd/daemon/io.containerd.runtime.v2.task/moby"
    nothing_left "no process is left" processes 'containerd|dockerd'
    nothing_left "no mount is left" new_mounts "$WORK/mounts"
    nothing_left "no cgroup is left" cgroups
    daemon_stops "$daemon_pid"
}
