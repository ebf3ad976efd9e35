# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# Docker with --userns-remap: the ids of every container are others on the host.
#
# Sourced by `run` inside the private namespaces. The files of subordinate ids are copies there.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
for file in subuid subgid; do
    echo www-data:200000:65536 >"$WORK/$file"
    mount --bind "$WORK/$file" "/etc/$file"
done
begin --userns-remap www-data --iptables=false --ip-masq=false
mounts >"$WORK/mounts"
expect "ids are mapped" 0 '^0 200000 65536$' "${once[@]}" $image sh -c "awk '{ print \$1, \$2, \$3 }' /proc/self/uid_map"
expect "its files are root's" 0 '^0:0$' "${once[@]}" $image stat -c %u:%g /bin/busybox
expect "it is an unprivileged user on the host" 0 '^200000$' bash -c "
    ${run[*]} --detach --name mapped $image sleep 100 >/dev/null
    stat -c %u /proc/\$(docker inspect --format '{{.State.Pid}}' mapped)"
expect "an exec is mapped too" 0 '^0 0$' docker exec mapped sh -c "echo \$(id -u) \$(stat -c %u /proc/1)"
expect "an exec by another user with a terminal" 0 '^1000$' docker exec --user 1000 -t mapped id -u
expect "an exec has capabilities inside" 0 '^CapEff:[[:space:]]0*a80425fb$' docker exec mapped grep CapEff /proc/self/status
expect "pause and unpause" 0 'mapped' bash -c 'docker pause mapped && docker unpause mapped'
expect "stop" 0 '^mapped$' docker stop -t 0 mapped
expect "start again" 0 '^mapped$' docker start mapped
expect "removal" 0 '^mapped$' docker rm --force mapped
expect "a network" 0 'inet 172\.' docker run --rm --network bridge $image ip -4 addr show eth0
expect "a terminal" 0 '/dev/(pts/0|console)' "${once[@]}" --tty $image tty
expect "a volume is its root's" 0 '^0$' "${once[@]}" --volume new:/v $image stat -c %u /v
expect "a read-only root refuses writes" 1 'Read-only file system' "${once[@]}" --read-only $image touch /file
expect "a limit on processes" '[12]' "can't fork" "${once[@]}" --pids-limit 3 $image sh -c 'for i in 1 2 3 4 5 6; do sleep 5 & done; wait'
expect "one without" 0 '^0 0 4294967295$' "${once[@]}" --userns host $image sh -c "awk '{ print \$1, \$2, \$3 }' /proc/self/uid_map"
docker volume rm new >/dev/null
end
