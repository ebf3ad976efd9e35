# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119,SC2154 # the shells of the rows expand, and those inside of containers
# pier beside Docker: the same words to both; what comes out, and what the containers see, must be the same.
#
# Sourced by `run` inside the private namespaces. PIER is the binary (else `pier` beside RUNTIME). A row is shell
# text in which $E is the engine; its standard output and exit status are compared. Where the two have to differ
# the row says why.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
begin
PIER=${PIER:-$(dirname "$RUNTIME")/pier}
view=$WORK/view
mkdir -p "$view" && cp "$HERE/view.sh" "$view/view" && chmod 755 "$view/view"
# An engine is a word: pier with roots of these checks.
printf '#!/bin/sh\nexec "%s" --root "%s/pier" --run-root "%s/pier-run" "$@"\n' "$PIER" "$WORK" "$WORK" >"$WORK/bin/pier"
chmod 755 "$WORK/bin/pier"
export PATH=$WORK/bin:$PATH image view WORK PIER_CGROUP_PARENT=/$TAG
mounts >"$WORK/mounts"
expect "pier loads the image that Docker loaded" 0 'corten-check:1' pier load --input "$WORK/image.tar"

# For rows: they wait for things, never for a time. soon COMMAND…: it succeeds; ready: the container has said so.
soon() { eventually 20 silently "$@"; }
silently() { "$@" >/dev/null 2>&1; }
wrote() { "$E" logs "$1" 2>&1 | tr '\n' ' ' | grep -q "$2"; }
ready() { soon wrote "$1" ready; }
export -f eventually soon silently wrote ready

# said ENGINE ROW: what it prints and its status.
said() {
    local status=0
    E=$1 timeout -k 5 "$patience" bash -c "$2" </dev/null 2>"$said/$1.err" || status=$?
    echo "exit status $status"
}
# Without ids and times; pier's bridge has another network than Docker's, so that both can be on one machine.
plain() {
    sed -E 's/\r//g; s/\b[0-9a-f]{64}\b/ID/g; s/\b[0-9a-f]{12}\b/ID/g; s/10\.233\./172.17./g; s/02:42:0a:e9/02:42:ac:11/g; s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)/TIME/g; s/(About )?(a|an|[0-9]+|Less than a) (second|minute)s?( ago)?/AGO/g'
}
# compare WHAT ROW: both engines are asked, at the same time unless the row wants the same port of both (turns).
compare() {
    local said asked
    said=$(mktemp -d "$WORK/said.XXXX")
    said docker "$2" | plain >"$said/docker" &
    asked=$!
    [ -z "${turns:-}" ] || wait "$asked"
    said pier "$2" | plain >"$said/pier"
    wait "$asked"
    if cmp -s "$said/docker" "$said/pier"; then pass "$1"; else
        fail "$1" "$(diff "$said/docker" "$said/pier" | sed 's/^</docker:/; s/^>/pier:/' | head -n 14; sed 's/^/docker: /' "$said/docker.err" | tail -n 3; sed 's/^/pier: /' "$said/pier.err" | tail -n 3)"
    fi
    rm -rf "$said"
}
# same WHAT ROW: both engines say the same. One such row at a time.
same() {
    settle
    compare "$@"
}
# alone FLAG…: a container with the flags and without a network sees the same; lines that match BUT are left out.
# Rows of this kind share nothing, so some are on their way at once; each prints its answer in one piece.
rows=()
alone() { look --network none "$@"; }
# sees FLAG…: the same with a network, where each gets the first address that is free: one at a time.
sees() {
    settle
    look "$@"
    settle
}
look() {
    local row="set -o pipefail; \$E run --rm -v \$view:/view:ro $* \$image /view/view one 'two three' | grep -vE '${BUT:-^$}'"
    if [ ${#rows[@]} -ge 3 ]; then
        wait "${rows[0]}"
        rows=("${rows[@]:1}")
    fi
    (answer=$(compare "run $*" "$row") && printf '%s\n' "$answer") &
    rows+=($!)
}
settle() {
    for row in "${rows[@]}"; do wait "$row"; done
    rows=()
}

# What a container sees.
sees
printf 'FILE=from\n# comment\nEMPTY=\nHOSTS\n' >"$WORK/env"
export HOSTS=own
alone -e A=b -e HOSTS -e NOTHERE --env-file '$WORK/env'
alone -w /tmp
alone -w /made/here
for user in 1000 nobody nobody:users 1000:100 0:users :100 root:nogroup; do alone -u $user; done
alone -u 1000 --group-add users --group-add 4242
alone --hostname box --domainname example.test
alone --read-only
alone --read-only --tmpfs /tmp
alone --tmpfs /t:size=1m,mode=700,uid=5,exec
alone --init
alone --shm-size 1m
alone --oom-score-adj 100
alone --ulimit nofile=64:128 --ulimit core=0 --ulimit memlock=65536
alone --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=9000
alone --cap-add NET_ADMIN
alone --cap-add CAP_SYS_TIME --cap-drop cap_chown
alone --cap-drop ALL
alone --cap-drop ALL --cap-add CHOWN --cap-add KILL
# Docker 20.10 knows 38 capabilities, the kernel 41.
BUT='^status.Cap' alone --cap-add ALL
alone --cap-add NET_ADMIN -u 1000
BUT='^status.Cap' alone --privileged
BUT='^status.CapBnd' alone --privileged -u 1000
alone --security-opt no-new-privileges
alone --security-opt no-new-privileges:true -u 1000
alone --security-opt seccomp=unconfined
alone --security-opt systempaths=unconfined
alone --security-opt label=disable
alone --device /dev/full
alone --device /dev/full:/dev/other:r
alone --ipc none
alone --ipc private
alone --ipc host
alone --ipc shareable
BUT='^pid1' alone --pid host
alone --uts host
alone --userns host
alone --cgroupns private
alone --cgroupns host
alone --memory 32m
alone --memory 32m --memory-swap 64m --memory-reservation 16m
alone --memory 32m --memory-swappiness 10
alone --memory 32m --memory-swap -1
alone --cpus 0.5
alone --cpu-shares 512
alone --cpu-period 50000 --cpu-quota 20000
alone --cpuset-cpus 0 --cpuset-mems 0
alone --pids-limit 50
alone --pids-limit -1
device=$(lsblk -ndo NAME 2>/dev/null | head -1)
[ ! -b "/dev/$device" ] || alone --device-read-bps "/dev/$device:1mb" --device-write-iops "/dev/$device:100"
alone -e TERM=dumb -t
alone --entrypoint /view/view
alone --security-opt seccomp='$HERE/none.json'

# Volumes.
mkdir "$WORK/bound" && echo inside >"$WORK/bound/file"
alone -v '$WORK/bound:/b'
alone -v '$WORK/bound:/b:ro'
alone -v '$WORK/bound:/b:rshared'
alone -v '$WORK/bound/file:/etc/one'
alone -v /anonymous
alone -v named:/n
alone -v named:/n:ro,nocopy
alone --mount 'type=bind,src=$WORK/bound,dst=/b,readonly'
alone --mount 'type=bind,source=$WORK/bound,target=/b,bind-propagation=rslave'
alone --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700
alone --mount type=volume,src=named,dst=/n,volume-nocopy
same "a directory that is not there is made" '$E run --rm --network none -v $WORK/new.$E:/n $image sh -c "echo x >/n/f" && cat $WORK/new.$E/f'
same "--mount does not make it" '$E run --rm --network none --mount type=bind,src=$WORK/not.there,dst=/n $image true'
same "a new volume has what the image has there" '$E run --rm --network none -v copied.$E:/home $image ls -ld /home; $E run --rm --network none -v copied.$E:/etc $image cat /etc/text; $E run --rm --network none -v copied2.$E:/etc $image cat /etc/text'
same "volumes of another" '$E create --name from -v $WORK/bound:/b:ro -v named:/n $image >/dev/null; $E run --rm --network none --volumes-from from $image sh -c "cat /b/file; touch /b/x /n/x; ls /n"; $E run --rm --network none --volumes-from from:ro $image touch /n/y; $E rm from'
same "volumes: create, ls, inspect, rm" '$E volume create --label a=b vol; $E volume create vol; $E volume ls --filter name=vol --format "{{.Name}} {{.Driver}}"; $E volume inspect --format "{{.Name}} {{.Labels.a}} {{.Scope}}" vol; $E volume rm vol; $E volume rm vol; $E volume inspect vol'
same "a volume in use stays" '$E create --name user -v used:/u $image >/dev/null; $E volume rm used; $E rm user >/dev/null; $E volume rm used'
same "rm -v takes anonymous volumes along" '$E create --name anon -v /a -v keeps:/k $image >/dev/null; n=$($E volume ls -q | wc -l); $E rm -v anon >/dev/null; echo $((n - $($E volume ls -q | wc -l))); $E volume rm keeps'
same "volume prune" '$E volume create gone >/dev/null; $E volume prune --force --filter label=none | grep -v Total; $E volume ls -q | grep gone; $E volume rm gone'

# Networks.
BUT='^(hosts|hostname|file|resolv)' sees --network host
sees --dns 192.0.2.1 --dns-search a.test --dns-search b.test --dns-option ndots:3
sees --add-host one:192.0.2.1 --add-host two:192.0.2.2
sees --hostname box --add-host box:192.0.2.3
alone --hostname box --add-host one:192.0.2.1
sees --mac-address 02:42:ac:11:00:99
same "another's network" '$E run -d --name first $image sleep 100 >/dev/null; $E run --rm --network container:first $image ip -4 -o addr show eth0 | cut -d: -f2-; $E rm -f first'
same "the names of another" '$E run -d --name first --hostname box --add-host one:192.0.2.1 --dns 192.0.2.9 --dns-search a.test $image sleep 100 >/dev/null; $E run --rm --network container:first $image sh -c "hostname; cat /etc/hostname; grep -E \"one|box\" /etc/hosts; sort /etc/resolv.conf | grep -v ^#"; $E rm -f first'
turns=yes same "published ports" '$E run -d --name web -p 8080:80 -p 127.0.0.1:8081:81 -p 8082:82/udp -p 9000-9001:90-91 $image sleep 100 >/dev/null; $E port web | grep -v "\[::\]\|:::" | sort; $E port web 80 | grep 0.0.0.0; $E rm -f web'
turns=yes same "a port is reached from the host" '$E run -d --name web -p 8088:80 $image sh -c "mkdir /w; echo served >/w/f; exec httpd -f -p 80 -h /w" >/dev/null; soon busybox wget -qO /dev/null http://127.0.0.1:8088/f; busybox wget -qO- http://127.0.0.1:8088/f; $E rm -f web'
same "network ls" '$E network ls --format "{{.Name}} {{.Driver}} {{.Scope}}"'
same "network inspect" '$E network inspect --format "{{.Name}} {{.Driver}} {{(index .IPAM.Config 0).Subnet}}" bridge; $E network inspect --format "{{.Name}}" nothere'

# Exit codes.
same "the command's own" '$E run --rm --network none $image sh -c "exit 7"'
same "by a signal" '$E run --rm --network none $image sh -c "kill -9 \$\$"'
same "no such command" '$E run --rm --network none $image no-such-command'
same "no such path" '$E run --rm --network none $image /no/such'
same "may not be run" '$E run --rm --network none $image /etc/text'
same "an unknown flag" '$E run --no-such-flag $image true'
same "no image" '$E run --pull never localhost/nothere:1 true'
same "a name twice" '$E create --name twice $image >/dev/null; $E create --name twice $image; $E run --name twice $image; $E rm twice'
same "a bad name" '$E create --name "/a b" $image'
same "a cid file" '$E run --rm --network none --cidfile $WORK/cid.$E $image true; wc -c <$WORK/cid.$E; $E run --rm --cidfile $WORK/cid.$E $image true'
same "no such container" 'for verb in start stop kill rm restart logs inspect wait top port pause unpause attach; do $E $verb nothere; echo $verb $?; done'
same "bad values" 'for flag in "--memory 1k" "--memory x" "--cpus x" "--cpus 1000" "-p x" "-p 1:2:3:4:5" "--restart sometimes" "-e =" "--ulimit x" "--cap-add NOPE" "-u nosuchuser" "--network container:nothere" "-v /a:b" "--mount x" "--stop-signal NOPE" "--cpuset-cpus 99" "--sysctl nope=1" "--ipc nope" "--pid nope" "-w relative" "--add-host x" "--dns x" "--mac-address x" "--security-opt nope" "--log-opt nope=1" "--tmpfs relative" "--rm --restart always"; do $E run --rm --network none $flag $image true >/dev/null 2>&1; echo "$flag: $?"; done; $E ps -aq'

# The life of a container.
same "created, started, attached" '$E create --name box --network none $image sh -c "echo late; exit 3" >/dev/null; $E ps -a --format "{{.Names}} {{.Status}} {{.Image}} {{.Command}}"; $E start -a box; echo $?; $E ps -a --format "{{.Names}} {{.State}} {{.Status}}"; $E start box; $E wait box; $E rm box'
same "streams and logs" '$E run --name box --network none $image sh -c "echo out; sleep 0.3; echo err >&2"; $E logs box; $E logs box 2>&1 >/dev/null; $E logs --tail 1 box 2>/dev/null; $E logs -t box 2>/dev/null; $E logs --since 2000-01-01 box 2>/dev/null; $E logs --since 2100-01-01 box; $E logs --until 2000-01-01 box; $E rm box'
same "logs are followed to the end" '$E run -d --name box --network none $image sh -c "for n in 1 2 3 4 5; do echo \$n; sleep 0.1; done" >/dev/null; $E logs -f box; $E rm box'
same "standard input" 'echo given | $E run --rm -i --network none $image cat; echo given | $E run --rm --network none $image cat'
same "stop by its signal" '$E run -d --name box --network none --stop-signal USR1 $image sh -c "trap \"exit 5\" USR1; echo ready; while :; do sleep 0.05; done" >/dev/null; ready box; $E stop box; $E inspect --format "{{.State.ExitCode}} {{.State.Status}} {{.Config.StopSignal}}" box; $E rm box'
same "stop kills in the end" '$E run -d --name box --network none --stop-timeout 1 $image sh -c "trap \"\" TERM; echo ready; while :; do sleep 0.05; done" >/dev/null; ready box; $E stop box; $E inspect --format "{{.State.ExitCode}}" box; $E stop box; $E rm box'
same "kill" '$E run -d --name box --network none $image sleep 100 >/dev/null; $E kill -s 0x box; $E kill -s KILL box; $E wait box; $E kill box; $E rm box'
same "killed for want of memory" '$E run --name box --network none --memory 16m --memory-swap 16m $image tail /dev/zero; $E inspect --format "{{.State.OOMKilled}} {{.State.ExitCode}}" box; $E rm box'
same "restart" '$E run -d --name box --network none $image sh -c "echo run; sleep 100" >/dev/null; soon wrote box run; $E restart -t 0 box; soon wrote box "run run"; $E logs box; $E inspect --format "{{.RestartCount}} {{.State.Running}}" box; $E rm box; $E rm -f box'
same "restart on failure" '$E run -d --name box --network none --restart on-failure:2 $image false >/dev/null; is() { [ "$($E inspect --format "{{.State.Status}}{{.RestartCount}}" box)" = exited2 ]; }; soon is; $E inspect --format "{{.RestartCount}} {{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}" box; $E rm -f box'
same "pause" '$E run -d --name box --network none $image sleep 100 >/dev/null; $E pause box; $E ps --format "{{.Names}} {{.State}} {{.Status}}"; $E pause box; $E exec box true; $E unpause box; $E unpause box; $E rm -f box'
# Docker 20.10 knows 38 capabilities, the kernel 41; and its `exec` of what is not there ends with 126, Docker's since
# 23 with 127, as `run` does.
same "exec" '$E run -d --name box --network none -e A=b $image sleep 100 >/dev/null; $E exec box sh -c "echo \$A; exit 4"; echo $?; $E exec -e C=d -w /tmp -u 1000:100 box sh -c "echo \$C \$PWD; id"; $E exec box /etc/text >/dev/null; echo $?; echo in | $E exec -i box cat; $E exec -d box touch /made; soon $E exec box ls /made; $E exec box ls /made; $E exec --privileged box grep CapEff /proc/self/status | sed -E "s/0+(3f|1ff)feffffff/all/"; $E exec box grep CapEff /proc/self/status; $E exec -t box tty; $E exec --env-file $WORK/env box sh -c "echo \$FILE"; $E rm -f box; $E exec box true'
same "exec in what has ended" '$E create --name box --network none $image true >/dev/null; $E exec box true; $E start -a box; $E exec box true; $E rm box'
same "top" '$E run -d --name box --network none $image sleep 100 >/dev/null; $E top box -o comm,args; $E top box | wc -l; $E rm -f box'
same "rename" '$E create --name box $image >/dev/null; $E rename box bax; $E ps -a --format "{{.Names}}"; $E rename bax bax; $E rename nothere x; $E rm bax'
same "cp" '$E create --name box --network none $image cat /b/file >/dev/null; $E cp $WORK/bound box:/b; $E start -a box; $E cp box:/etc/text $WORK/out.$E; cat $WORK/out.$E; $E cp box:/etc/text - | tar -tf -; $E cp $WORK/bound/file box:/no/such/; $E cp box:/nothere $WORK/; tar -C $WORK/bound -cf - file | $E cp - box:/tmp; $E cp box:/tmp/file - | tar -xOf -; $E rm box'
same "update" '$E run -d --name box --network none --memory 64m $image sleep 100 >/dev/null; $E update --memory 32m --memory-swap 64m --cpu-shares 300 --pids-limit 40 --restart always box; $E inspect --format "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}" box; $E exec box sh -c "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max" 2>/dev/null; $E rm -f box'
same "ps" '$E create --name one --label a=b $image >/dev/null; $E run -d --name two --network none $image sleep 100 >/dev/null; $E ps --format "{{.Names}}"; $E ps -a --format "table {{.Names}}\t{{.Image}}\t{{.Status}}"; $E ps -aq | wc -l; $E ps -a --filter name=on --format "{{.Names}} {{.Labels}}"; $E ps -a --filter label=a=b -q | wc -l; $E ps -a --filter status=created --format "{{.Names}}"; $E ps -n 1 --format "{{.Names}}"; $E ps -l --format "{{.Names}}"; $E ps -a --no-trunc --format "{{.ID}}"; $E container ls -a --format "{{json .Names}}"; $E rm -f one two'
same "rm" '$E run -d --name box --network none $image sleep 100 >/dev/null; $E rm box; $E rm -f box; $E rm -f nothere; $E rm nothere; $E ps -aq'
same "container prune" '$E create --name one $image >/dev/null; $E create --name two $image >/dev/null; $E container prune --force | grep -c ID; $E ps -aq'
# Docker 20.10 keeps capabilities as they were typed and calls the bridge "default", later ones do as pier.
same "inspect" '$E create --name box --hostname h -e A=b -w /tmp -u 5:6 --label l=m --memory 64m --cpus 1.5 --cap-add NET_ADMIN --read-only --restart unless-stopped -p 80:80/tcp --dns 192.0.2.1 --tmpfs /t --ulimit nofile=5:6 --security-opt no-new-privileges --shm-size 1m --init -v $WORK/bound:/b:ro $image sleep 1 >/dev/null
for f in Name Path Args State.Status State.Running State.Pid State.ExitCode RestartCount Driver Config.Hostname Config.Cmd Config.WorkingDir Config.User Config.Labels Config.Image Config.Tty Config.OpenStdin HostConfig.Memory HostConfig.NanoCpus HostConfig.CapAdd HostConfig.ReadonlyRootfs HostConfig.RestartPolicy.Name HostConfig.NetworkMode HostConfig.Binds HostConfig.Dns HostConfig.Tmpfs HostConfig.ShmSize HostConfig.Privileged HostConfig.Init HostConfig.AutoRemove; do echo "$f $($E inspect --format "{{json .$f}}" box | sed "s/CAP_//; s/\"default\"/\"bridge\"/")"; done
$E inspect --format "{{range .Mounts}}{{if eq .Type \"bind\"}}{{.Destination}} {{.RW}} {{.Mode}} {{.Propagation}}{{end}}{{end}}" box; $E inspect --format "{{range \$k, \$v := .Config.Labels}}{{\$k}}={{\$v}}{{end}} {{len .Config.Env}}" box; $E inspect  box | head -c 6; $E inspect --type image box; $E rm box'

# Images.
same "images" '$E images --format "{{.Repository}} {{.Tag}} {{.Size}}"; $E image ls -q --no-trunc; $E tag $image localhost/second:2; $E images --format "{{.Repository}}:{{.Tag}}" | sort; $E rmi localhost/second:2; $E rmi nothere; $E tag nothere x; $E image inspect --format "{{.Id}} {{.Os}} {{.Architecture}} {{.Config.Cmd}} {{len .RootFS.Layers}} {{json .RepoTags}}" $image'
same "history" '$E history --no-trunc --format "{{.CreatedBy}} {{.Size}}" $image; $E history -q --no-trunc $image'
same "save and load" '$E tag $image localhost/kept:3; $E save -o $WORK/saved.$E.tar localhost/kept:3; $E rmi localhost/kept:3; $E load -q -i $WORK/saved.$E.tar; $E rmi localhost/kept:3; tar -xOf $WORK/saved.$E.tar manifest.json | grep -o localhost/kept:3'
same "the other engine reads what was saved" 'o=docker; [ $E = docker ] && o=pier; $E save $image >$WORK/cross.$E; $o load -q -i $WORK/cross.$E'
same "import" 'tar -C $WORK/bound -c file | $E import --change "CMD [\"/file\"]" - localhost/imported:1 >/dev/null; $E image inspect --format "{{.Config.Cmd}} {{len .RootFS.Layers}}" localhost/imported:1; $E rmi localhost/imported:1 | head -1'
same "an image in use" '$E create --name box $image >/dev/null; $E rmi $image; $E rm box'

# The system.
same "system df" '$E system df --format "{{.Type}}"'
same "version" '$E version --format "{{.Client.Os}}/{{.Client.Arch}}" | tr -d "\n"'
settle
nothing_left "pier leaves no container" pier ps --all --quiet
nothing_left "pier leaves no process" processes 'containerd|dockerd'
end
