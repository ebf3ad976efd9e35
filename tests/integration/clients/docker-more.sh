# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# Docker's ways of making a container: networks and ports, volumes, devices, rights, namespaces, builds.
#
# Sourced by `run` inside the private namespaces; the daemon writes the packet filter of that network
# namespace.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
begin
mounts >"$WORK/mounts"
status=/proc/self/status

# Networks, as the daemon sets them up by a prestart hook.
serve='mkdir /w && echo served >/w/f && exec httpd -f -p 80 -h /w'
fetch() { busybox wget -qO- "$@"; }
expect "a network is made" 0 '^[0-9a-f]{64}$' docker network create --subnet 10.77.0.0/24 net
expect "a server in it" 0 '^[0-9a-f]{64}$' docker run --detach --name web --network net --network-alias alias \
    --publish 127.0.0.1:8077:80 $image sh -c "$serve"
expect "it is found by name" 0 '^served$' docker run --rm --network net $image sh -c \
    'for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://web/f && break; sleep 0.3; done'
expect "and by alias" 0 '^served$' docker run --rm --network net $image wget -qO- http://alias/f
expect "the address is the network's" 0 'inet 10\.77\.0\.' docker run --rm --network net $image ip -4 addr show eth0
expect "an address is asked for" 0 'inet 10\.77\.0\.99/24' docker run --rm --network net --ip 10.77.0.99 $image ip -4 addr show eth0
expect "port tells the published one" 0 '^80/tcp -> 127.0.0.1:8077$' docker port web
address=$(docker inspect --format '{{.NetworkSettings.Networks.net.IPAddress}}' web)
expect "the host reaches it" 0 '^served$' busybox wget -qO- "http://$address/f"
expect "another's network namespace is used" 0 '^served$' docker run --rm --network container:web $image wget -qO- http://127.0.0.1/f
expect "a second network is connected" 0 '^2$' bash -c "
    docker network create other >/dev/null && docker network connect other web
    docker exec web ls /sys/class/net | grep -c eth"
expect "and disconnected" 0 '^1$' bash -c "
    docker network disconnect other web && docker network rm other >/dev/null
    docker exec web ls /sys/class/net | grep -c eth"
expect "hosts and resolv.conf are ours" 0 '10.1.2.3[[:space:]]+friend.*nameserver 10.9.9.9' docker run --rm --network bridge \
    --add-host friend:10.1.2.3 --dns 10.9.9.9 $image sh -c 'cat /etc/hosts /etc/resolv.conf | tr "\n" " "'
expect "mac address and hostname" 0 '^02:42:ac:11:22:33 named$' docker run --rm --mac-address 02:42:ac:11:22:33 --hostname named \
    $image sh -c "echo \$(cat /sys/class/net/eth0/address) \$(hostname)"
expect "sysctls of the network" 0 '^1 33000$' docker run --rm --sysctl net.ipv4.conf.all.forwarding=1 \
    --sysctl kernel.shmmax=33000 $image sh -c "echo \$(cat /proc/sys/net/ipv4/conf/all/forwarding /proc/sys/kernel/shmmax)"
expect "the server is removed" 0 '^web$' docker rm --force web
expect "the network is removed" 0 '^net$' docker network rm net

# Volumes and mounts.
mkdir "$WORK/v" && echo inside >"$WORK/v/f"
expect "a volume is filled from the image" 0 'no program' "${once[@]}" --volume filled:/etc $image cat /etc/text
expect "volumes of another" 0 '^kept$' bash -c "
    ${run[*]} --name holder -v /data $image sh -c 'echo kept >/data/f'
    ${once[*]} --volumes-from holder $image cat /data/f; docker rm -v holder >/dev/null; docker volume rm filled >/dev/null"
expect "a mount is read-only" 1 'Read-only file system' "${once[@]}" --mount "type=bind,src=$WORK/v,dst=/v,readonly" $image touch /v/x
expect "a tmpfs mount has size and mode" 0 '^1770 2048$' "${once[@]}" --mount type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=1770 \
    $image sh -c "echo \$(stat -c %a /t) \$(df -k /t | awk 'END { print \$2 }')"
mkdir "$WORK/p" && mount -t tmpfs none "$WORK/p" && mount --make-shared "$WORK/p" && mkdir "$WORK/p/late"
expect "a mount made later is seen (rslave)" 0 '^seen$' bash -c "
    ${run[*]} --detach --name slave --mount type=bind,src=$WORK/p,dst=/p,bind-propagation=rslave $image sleep 100 >/dev/null
    mount -t tmpfs none $WORK/p/late && echo seen >$WORK/p/late/f; docker exec slave cat /p/late/f
    docker rm --force slave >/dev/null; umount $WORK/p/late"
umount "$WORK/p"
expect "a file is mounted over a directory: refused" '125|127' 'not a directory' "${once[@]}" -v "$WORK/v/f:/home" $image true
expect "a mount point below a link stays inside" 0 '^inside$' "${once[@]}" -v "$WORK/v:/var/run/deep/v" $image cat /var/run/deep/v/f
expect "a work directory in a volume" 0 '^/v/new$' "${once[@]}" -v "$WORK/v:/v" --workdir /v/new $image pwd

# Devices and limits.
expect "a device is refused" 1 'Operation not permitted' "${once[@]}" $image sh -c 'mknod /tmp/m c 1 1; cat /tmp/m'
expect "a rule lets it in" 0 '^$' "${once[@]}" --device-cgroup-rule 'c 1:11 rw' $image sh -c \
    'mknod /tmp/k c 1 7; mknod /tmp/l c 1 11 && : >>/tmp/l'
expect "a device is read only" 1 "can't create /dev/x: Operation not permitted" \
    "${once[@]}" --device /dev/kmsg:/dev/x:r $image sh -c 'echo a >/dev/x'
expect "the default devices" 0 '^console (core )?fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero $' \
    "${once[@]}" --tty $image sh -c 'ls /dev | tr "\n" " "'
expect "limits of every kind" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --name limits --memory 48m --memory-reservation 24m \
    --memory-swap 96m --cpu-period 50000 --cpu-quota 20000 --cpu-shares 256 --cpuset-cpus 0 --pids-limit 33 \
    --oom-score-adj 300 --ulimit nofile=100:200 --ulimit core=0 $image sleep 1000
cgroup=$TAG/$(docker inspect --format '{{.Id}}' limits)
judge "memory" 0 '^50331648$' 0 "$(cgroup_file memory memory.limit_in_bytes memory.max "$cgroup" 2>&1)"
judge "reservation" 0 '^25165824$' 0 "$(cgroup_file memory memory.soft_limit_in_bytes memory.low "$cgroup" 2>&1)"
judge "quota" 0 '^20000' 0 "$(cgroup_file cpu cpu.cfs_quota_us cpu.max "$cgroup" 2>&1)"
judge "processors" 0 '^0$' 0 "$(cgroup_file cpuset cpuset.cpus cpuset.cpus "$cgroup" 2>&1)"
expect "limits of the process" 0 '^300 100 200$' docker exec limits sh -c \
    "echo \$(cat /proc/1/oom_score_adj) \$(awk '/Max open files/ { print \$4, \$5 }' /proc/1/limits)"
expect "an exec has them too" 0 '^100$' docker exec limits sh -c 'ulimit -n'
expect "it is removed" 0 '^limits$' docker rm --force limits
expect "processes beyond the limit are refused" '[12]' "can't fork" "${once[@]}" --pids-limit 3 $image sh -c 'for i in 1 2 3 4 5 6; do sleep 5 & done; wait'
expect "disk throttling is set" '0|125' '' "${once[@]}" --blkio-weight 300 $image true
expect "a cgroup parent is taken" 0 "/$TAG/parent/[0-9a-f]{64}" "${once[@]}" --cgroup-parent "/$TAG/parent" --cgroupns host $image cat /proc/self/cgroup
find /sys/fs/cgroup -depth -path "*/$TAG/parent" -type d -exec rmdir {} + 2>/dev/null
expect "a cgroup namespace of its own" 0 '^pids:/$' "${once[@]}" --cgroupns private $image sh -c "sed -n 's/^[0-9]*:\(pids:.*\)/\1/p; s/^0::/pids:/p' /proc/self/cgroup | head -n 1"

# Rights.
expect "a privileged container" '0|126|125' '^(CapEff:[[:space:]]0*[0-9a-f]+ 0$|.*operation not permitted)' \
    "${once[@]}" --privileged $image sh -c "echo \$(grep CapEff $status) \$(ls /dev/full >/dev/null; echo \$?)"
expect "all capabilities dropped" 0 '^CapBnd:[[:space:]]0*$' "${once[@]}" --cap-drop ALL $image grep CapBnd $status
expect "a user without capabilities" 0 '^CapEff:[[:space:]]0*$' "${once[@]}" --user 1000 $image grep CapEff $status
expect "the default filter is on" 0 '^Seccomp:[[:space:]]2$' "${once[@]}" $image grep Seccomp: $status
expect "it refuses what it must" 1 'Operation not permitted' "${once[@]}" $image unshare -n true
expect "unconfined is off" 0 '^Seccomp:[[:space:]]0$' "${once[@]}" --security-opt seccomp=unconfined $image grep Seccomp: $status
echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}' >"$WORK/filter"
expect "a filter of one's own" 1 'Operation not supported' "${once[@]}" --security-opt "seccomp=$WORK/filter" $image mkdir /tmp/x
expect "an exec is under it too" 1 'Operation not supported' bash -c "
    ${run[*]} --detach --name filtered --security-opt seccomp=$WORK/filter $image sleep 100 >/dev/null
    docker exec filtered mkdir /tmp/x; code=\$?; docker rm --force filtered >/dev/null; exit \$code"
expect "no new privileges for an exec" 0 '1$' bash -c "
    ${run[*]} --detach --name nnp --security-opt no-new-privileges $image sleep 100 >/dev/null
    docker exec nnp grep NoNewPrivs $status; docker rm --force nnp >/dev/null"
expect "unmasked paths" 0 '^rw' "${once[@]}" --security-opt systempaths=unconfined $image sh -c "awk '\$2 == \"/proc\" { print \$4 }' /proc/mounts"

# Namespaces.
expect "ipc of another" 0 '^same$' bash -c "
    ${run[*]} --detach --name ipc --ipc shareable $image sleep 100 >/dev/null
    a=\$(docker exec ipc stat -Lc %i /proc/self/ns/ipc); b=\$(${once[*]} --ipc container:ipc $image stat -Lc %i /proc/self/ns/ipc)
    docker rm --force ipc >/dev/null; [ \$a = \$b ] && echo same"
expect "no shared memory" 1 'No such file' "${once[@]}" --ipc none $image ls /dev/shm/x
expect "the host's ipc" 0 "^$(stat -Lc %i /proc/self/ns/ipc)$" "${once[@]}" --ipc host $image stat -Lc %i /proc/self/ns/ipc
expect "an init and an exec" 0 '^(docker-init|tini) 2$' bash -c "
    ${run[*]} --detach --init --name init $image sleep 100 >/dev/null
    docker exec init sh -c 'echo \$(cat /proc/1/comm) \$(cat /proc/[0-9]*/comm | grep -cE \"^(sleep|docker-init|tini)\")'; docker rm --force init >/dev/null"
expect "the signal to stop with" 0 '^5$' bash -c "
    ${run[*]} --detach --stop-signal USR1 --name stop $image sh -c 'trap \"exit 5\" USR1; while :; do sleep 0.1; done' >/dev/null
    sleep 0.5; docker stop -t 20 stop >/dev/null; docker wait stop; docker rm stop >/dev/null"

# Builds: the classic builder runs containers by the runtime; BuildKit runs `runc` itself, in the foreground.
mkdir "$WORK/build" && cat >"$WORK/build/Dockerfile" <<FILE
FROM $image
RUN echo built >/built && test "\$(cat /proc/1/comm)" = sh
RUN ["/bin/sh", "-c", "id -u >/uid"]
FILE
expect "the classic builder" 0 'Successfully tagged' env DOCKER_BUILDKIT=0 docker build --network none --tag built:1 "$WORK/build"
expect "what it built" 0 '^built$' "${once[@]}" built:1 cat /built
printf 'FROM %s\nRUN exit 3\n' "$image" >"$WORK/failing"
expect "a failing step is told" '1|3' 'returned a non-zero code: 3' \
    env DOCKER_BUILDKIT=0 docker build --force-rm --network none --file "$WORK/failing" "$WORK/build"
expect "BuildKit" 0 '(writing image|DONE)' env DOCKER_BUILDKIT=1 docker build --network none --no-cache --progress plain --tag built:2 "$WORK/build"
expect "what it built" 0 '^built 0$' "${once[@]}" built:2 sh -c "echo \$(cat /built /uid)"
echo "RUN exit 3" >>"$WORK/build/Dockerfile"
expect "BuildKit tells a failing step" 1 'exit code: 3' env DOCKER_BUILDKIT=1 docker build --network none --progress plain "$WORK/build"
expect "the images are removed" 0 'Untagged' docker rmi built:1 built:2
docker builder prune --all --force >/dev/null 2>&1
# BuildKit leaves the parent of its containers' cgroups.
find /sys/fs/cgroup -depth -path "*/$TAG/buildkit" -type d -exec rmdir {} + 2>/dev/null

end
