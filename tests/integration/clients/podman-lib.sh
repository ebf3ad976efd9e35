# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the files that source this
# What the podman checks share: its command line with everything on paths of our own, and the search for
# what is left of its containers.
#
# Sourced by the files of checks. The runtime is given by --runtime; conmon stands between.

image=localhost/corten-check:1
cat >"$WORK/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=2048:2048"]
log_driver = "k8s-file"
[engine]
events_logger = "file"
lock_type = "file"
runtime_supports_json = ["crun", "runc", "chosen"]
[engine.runtimes]
chosen = ["$RUNTIME"]
CONF
export CONTAINERS_CONF=$WORK/containers.conf
mkdir -p "$WORK/tmp" "$WORK/net" && export TMPDIR=$WORK/tmp
podman=(podman --root "$WORK/root" --runroot "$WORK/runroot" --tmpdir "$WORK/libpod" --cgroup-manager cgroupfs
    --network-config-dir "$WORK/net" --storage-driver "${STORAGE:-overlay}" --runtime "$RUNTIME")
run=("${podman[@]}" run --network none --cgroup-parent "/$TAG")
once=("${run[@]}" --rm)
# The command line of podman for `bash -c`.
p="${podman[*]}"
state() { "${podman[@]}" inspect --format "{{.State.$2}}" "$1"; }
cgroup_of() { sed -n "s/.*:\(pids\|\):\(.*\)/\2/p" "/proc/$(state "$1" Pid)/cgroup" | head -n 1 | sed 's,^/,,'; }

# begin: our image in a storage of our own.
begin() {
    bash "$HERE/image.sh" "$WORK/image.tar"
    expect "an image made here is loaded" 0 'corten-check:1' "${podman[@]}" load --input "$WORK/image.tar"
    mounts >"$WORK/mounts"
}

# end: nothing of any container is left.
end() {
    nothing_left "no container is left" "${podman[@]}" ps --all --quiet
    nothing_left "no pod is left" "${podman[@]}" pod ps --quiet
    nothing_left "no process is left" processes 'podman|aardvark-dns'
    nothing_left "no state is left" entries /run/corten /run/runc /run/crun
    umount -l "$WORK/root/overlay" 2>/dev/null || true
    nothing_left "no mount is left" bash -c "source '$HERE/lib.sh'; new_mounts '$WORK/mounts' | grep -vE '/root/overlay$|/netns$'"
    nothing_left "no cgroup is left" bash -c "source '$HERE/lib.sh'; TAG=$TAG; cgroups | grep -vE '/(conmon|[0-9a-f]{64})$'"
}
