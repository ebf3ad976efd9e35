# shellcheck shell=bash
# The client's own default profile, and others: what is denied, what is newer than the profile.
#
# Sourced by docker.sh and containerd.sh, which set `image`, `run` and `once`.
# shellcheck disable=SC2154

# In a container at /call: makes one call and prints how it ended.
build_call() { cc -static -O1 -o "$WORK/call" "$HERE/call.c"; }

# A profile of ours: mkdir has an errno that nobody else gives, and all else is allowed.
own_profile() {
    cat >"$WORK/profile.json" <<'JSON'
{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
 {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}
JSON
}

# calls PREFIX COMMAND…: the calls that every default profile decides the same way; COMMAND is completed by
# the words of `call`.
calls() {
    local prefix=$1
    shift
    expect "$prefix: an allowed call works" 0 '^ok$' "$@" getpid
    expect "$prefix: a denied call gives EPERM" 0 '^EPERM$' "$@" keyctl 99
    expect "$prefix: an argument that is denied gives EPERM" 0 '^EPERM$' "$@" personality 0x40000
    expect "$prefix: an argument that is allowed works" 0 '^ok$' "$@" personality 0xffffffff
    expect "$prefix: a call newer than the profile gives ENOSYS" 0 '^ENOSYS$' "$@" 999
    [ "$(uname -m)" = x86_64 ] && [ "$("$WORK/call" 32:20 2>&1)" = ok ] || return 0
    expect "$prefix: an allowed call of i386 works" 0 '^ok$' "$@" 32:20
    expect "$prefix: a denied call of i386 gives EPERM" 0 '^EPERM$' "$@" 32:288
    expect "$prefix: a newer call of i386 gives ENOSYS" 0 '^ENOSYS$' "$@" 32:999
}

docker_seccomp() {
    local call=("${once[@]}" --volume "$WORK/call:/call:ro")
    build_call
    own_profile
    expect "the default profile is in force" 0 '^Seccomp:[[:space:]]*2$' "${once[@]}" "$image" grep Seccomp: /proc/self/status
    calls "default profile" "${call[@]}" "$image" /call
    expect "default profile, another user: a denied call gives EPERM" 0 '^EPERM$' \
        "${call[@]}" --user 1000:100 "$image" /call keyctl 99
    expect "default profile, no new privileges: a denied call gives EPERM" 0 '^EPERM$' \
        "${call[@]}" --security-opt no-new-privileges "$image" /call keyctl 99
    expect "default profile: clone of a user namespace gives EPERM" 0 '^EPERM$' "${call[@]}" "$image" /call unshare 0x10000000
    "${call[@]}" --detach --name filtered "$image" sleep 1000 >/dev/null
    expect "exec, default profile: a denied call gives EPERM" 0 '^EPERM$' docker exec filtered /call keyctl 99
    expect "exec, default profile: a newer call gives ENOSYS" 0 '^ENOSYS$' docker exec filtered /call 999
    docker rm --force filtered >/dev/null
    expect "a capability opens its calls" 0 '^ok$' "${call[@]}" --cap-add SYS_ADMIN "$image" /call unshare 0x20000
    expect "without a profile there is no filter" 0 '^Seccomp:[[:space:]]*0$' \
        "${once[@]}" --security-opt seccomp=unconfined "$image" grep Seccomp: /proc/self/status
    expect "a privileged container has no filter" 0 '^Seccomp:[[:space:]]*0$' \
        "${once[@]}" --privileged "$image" grep Seccomp: /proc/self/status
    expect "a profile of one's own is in force" 1 'Operation not supported' \
        "${once[@]}" --security-opt "seccomp=$WORK/profile.json" "$image" mkdir /tmp/x
}

containerd_seccomp() {
    local call=("${run[@]}" --rm --mount "type=bind,src=$WORK/call,dst=/call,options=rbind:ro")
    build_call
    own_profile
    expect "the default profile is in force" 0 '^Seccomp:[[:space:]]*2$' \
        "${run[@]}" --rm --seccomp "$image" s1 grep Seccomp: /proc/self/status
    calls "default profile" "${call[@]}" --seccomp "$image" s2 /call
    expect "default profile, privileges allowed: a denied call gives EPERM" 0 '^EPERM$' \
        "${call[@]}" --seccomp --allow-new-privs "$image" s3 /call keyctl 99
    "${run[@]}" --detach --seccomp --mount "type=bind,src=$WORK/call,dst=/call,options=rbind:ro" "$image" s6 sleep 1000
    expect "exec, default profile: a denied call gives EPERM" 0 '^EPERM$' \
        "${ctr[@]}" task exec --exec-id e1 s6 /call keyctl 99
    expect "exec, default profile: a newer call gives ENOSYS" 0 '^ENOSYS$' \
        "${ctr[@]}" task exec --exec-id e2 s6 /call 999
    client task kill --signal SIGKILL s6 && eventually 10 status_is s6 STOPPED
    client task rm s6 >/dev/null 2>&1 || true
    client container rm s6
    expect "without a profile there is no filter" 0 '^Seccomp:[[:space:]]*0$' \
        "${run[@]}" --rm "$image" s4 grep Seccomp: /proc/self/status
    expect "a profile of one's own is in force" 1 'Operation not supported' \
        "${run[@]}" --rm --seccomp --seccomp-profile "$WORK/profile.json" "$image" s5 mkdir /tmp/x
}
