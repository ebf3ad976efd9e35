# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# Docker on running containers: exec, logs, top, stats, pause, update, cp, diff, commit, export, health,
# restart policies, attach, and everything that an operator looks at.
#
# Sourced by `run` inside the private namespaces.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
begin --iptables=false --ip-masq=false
mounts >"$WORK/mounts"

loop='trap "exit 9" TERM; echo out; echo err >&2; while :; do sleep 0.1; done'
expect "a container is started" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --name live --hostname box \
    --env COLOUR=blue --memory 64m --memory-swap 64m --pids-limit 99 $image sh -c "$loop"
cgroup=$TAG/$(docker inspect --format '{{.Id}}' live)
eventually 10 says live err || true

# exec.
expect "exec prints" 0 '^hello$' docker exec live echo hello
expect "exec's status is the command's" 7 '' docker exec live sh -c 'exit 7'
expect "exec keeps the streams apart" 0 '^out$' bash -c 'docker exec live sh -c "echo out; echo err >&2" 2>/dev/null'
# Docker 20.10 calls what could not be found 126 as well.
expect "exec of a missing command is told" '126|127' 'executable file not found in \$PATH' docker exec live no-such-command
expect "exec of a missing path is told" '126|127' 'no such file or directory' docker exec live /no/such/command
expect "exec of a file that may not be run is 126" 126 'permission denied' docker exec live /etc/text
expect "exec of a directory is 126" 126 'is a directory|permission denied' docker exec live /etc
expect "exec has environment, directory and user" 0 '^blue red /home 1000:100$' \
    docker exec --env SHADE=red --workdir /home --user 1000:100 live sh -c "echo \$COLOUR \$SHADE \$PWD \$(id -u):\$(id -g)"
expect "exec takes a user by name" 0 '^65534 /home$' docker exec --user nobody live sh -c "echo \$(id -u) \$HOME"
expect "exec in a missing directory fails" '126|127' '(chdir|cwd|no such file)' docker exec --workdir /no/such live true
got=0
output=$(echo over | timeout 30 docker exec --interactive live cat 2>&1) || got=$?
judge "exec's standard input arrives" 0 '^over$' "$got" "$output"
expect "exec has a terminal" 0 '/dev/(pts/[0-9]+|console)' script -qec "docker exec -it live tty" /dev/null
expect "its terminal has the client's size" 0 '33 77$' \
    script -qec "stty rows 33 cols 77; docker exec -it live sh -c 'sleep 1; stty size'" /dev/null
expect "a command typed at it runs" 0 'typed 42' bash -c \
    "{ sleep 1; printf 'echo typed \$((6*7))\nexit\n'; sleep 1; } | script -qec 'docker exec -it live sh' /dev/null"
expect "exec is in the container's namespaces" 0 '^6$' docker exec live sh -c \
    "n=0; for k in mnt net pid ipc uts cgroup; do [ \$(stat -Lc %i /proc/1/ns/\$k) = \$(stat -Lc %i /proc/self/ns/\$k) ] && n=\$((n + 1)); done; echo \$n"
expect "exec is in the container's cgroups" 0 '^0$' docker exec live sh -c \
    "sed 's/.*://' /proc/1/cgroup >/tmp/1; sed 's/.*://' /proc/self/cgroup | diff - /tmp/1 | wc -l"
expect "exec has the container's rights" 0 '^CapEff:[[:space:]]0*a80425fb Seccomp:[[:space:]]2$' \
    docker exec live sh -c "echo \$(grep CapEff /proc/self/status) \$(grep Seccomp: /proc/self/status)" 
expect "exec by a user has no capabilities" 0 '^CapEff:[[:space:]]0*$' docker exec --user 1000 live grep CapEff /proc/self/status
expect "a detached exec returns" 0 '' docker exec --detach live sh -c 'echo done >/tmp/detached; sleep 1000'
expect "and works" 0 '^done$' bash -c 'for i in 1 2 3 4 5 6 7 8 9; do docker exec live cat /tmp/detached && break; sleep 0.2; done'
expect "top shows it" 0 'sleep 1000' docker top live
expect "top takes the options of ps" 0 '^PID +COMMAND' docker top live -o pid,comm
expect "a killed exec is 137" 137 '' docker exec live sh -c 'kill -9 $$'
expect "ten execs at once" 0 '^10$' bash -c 'for n in 0 1 2 3 4 5 6 7 8 9; do docker exec live echo one & done | grep -c one'
expect "twenty in a row" 0 '^20$' bash -c 'for n in $(seq 20); do docker exec live echo one || break; done | grep -c one'
expect "an exec's orphans stay in the container" 0 '^1$' docker exec live sh -c \
    '(sleep 500 & ) ; sleep 0.3; for p in /proc/[0-9]*; do grep -q "^sleep.500" $p/cmdline 2>/dev/null && grep "^PPid:.1$" $p/status; done | wc -l'

# What an operator looks at.
expect "logs have both streams" 0 $'out\nerr|err\nout' docker logs live
expect "logs have times and an end" 0 '^20[0-9-]+T[^ ]+ (out|err)$' docker logs --timestamps --tail 1 live
expect "logs are followed" 124 'out' timeout 3 docker logs --follow live
expect "stats show memory and processes" 0 '^live [0-9.]+(KiB|MiB|B) / 64MiB [0-9]+ ' \
    docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}} {{.CPUPerc}}' live
expect "inspect tells the runtime" 0 '^alt running$' docker inspect --format '{{.HostConfig.Runtime}} {{.State.Status}}' live
expect "events tell what happened" 0 'exec_start' docker events --since 10m --until 0s --filter container=live

# pause and update.
frozen() { cat "/sys/fs/cgroup/freezer/$cgroup/freezer.state" 2>/dev/null || grep -o 'frozen 1' "/sys/fs/cgroup/$cgroup/cgroup.events"; }
expect "pause" 0 '^live$' docker pause live
judge "it is paused" 0 '^paused$' 0 "$(state live Status)"
judge "its processes are frozen" 0 '^(FROZEN|frozen 1)$' 0 "$(frozen 2>&1)"
expect "exec in a paused container is refused" 1 'paused' docker exec live true
expect "pausing again is refused" 1 'already paused' docker pause live
expect "stats of a paused container" 0 '^live$' docker stats --no-stream --format '{{.Name}}' live
expect "unpause" 0 '^live$' docker unpause live
judge "it runs again" 0 '^running$' 0 "$(state live Status)"
expect "exec after unpause" 0 '^here$' docker exec live echo here
expect "update takes every limit" 0 '^live$' docker update --memory 96m --memory-swap 128m --memory-reservation 32m \
    --pids-limit 55 --cpus 0.75 --cpu-shares 512 --cpuset-cpus 0 --cpuset-mems 0 live
judge "memory is updated" 0 '^100663296$' 0 "$(cgroup_file memory memory.limit_in_bytes memory.max "$cgroup" 2>&1)"
judge "processes are updated" 0 '^55$' 0 "$(cgroup_file pids pids.max pids.max "$cgroup" 2>&1)"
judge "processor time is updated" 0 '^75000' 0 "$(cgroup_file cpu cpu.cfs_quota_us cpu.max "$cgroup" 2>&1)"
judge "processors are updated" 0 '^0$' 0 "$(cgroup_file cpuset cpuset.cpus cpuset.cpus "$cgroup" 2>&1)"
expect "an update smaller than the use is refused or kept" '0|1' '' docker update --memory 6m --memory-swap 6m live
expect "an update of nothing that exists fails" 1 '([Ii]nvalid|error|exceed|numerical|not available)' docker update --cpuset-cpus 4095 live
judge "the old processors are kept" 0 '^0$' 0 "$(cgroup_file cpuset cpuset.cpus cpuset.cpus "$cgroup" 2>&1)"
expect "the container has lived through it" 0 '^true$' docker inspect --format '{{.State.Running}}' live

# Files.
echo from-host >"$WORK/f"
expect "cp into it" 0 '' docker cp "$WORK/f" live:/home/f
expect "cp out of it" 0 '^from-host$' bash -c "docker cp live:/home/f '$WORK/g' && cat '$WORK/g'"
expect "diff tells of it" 0 'A /home/f' docker diff live
expect "commit makes an image" 0 '^sha256:' docker commit --change 'ENV MADE=here' live committed
expect "that runs" 0 '^from-host here$' "${once[@]}" committed sh -c "echo \$(cat /home/f) \$MADE"
expect "export has the files" 0 '(^|[[:space:]])home/f' bash -c 'docker export live | tar -t'
expect "rename" 0 '' docker rename live alive
expect "port of none" 0 '^$' docker port alive
expect "exec by the new name" 0 '^alive$' docker exec alive echo alive
expect "restart" 0 '^alive$' docker restart -t 20 alive
expect "exec after a restart" 0 '^back$' docker exec alive echo back
expect "attach hands signals on" 9 '' timeout --signal TERM --preserve-status 3 docker attach --sig-proxy=true alive
expect "exec in a stopped container is refused" 1 'is not running' docker exec alive true
expect "removal" 0 '^alive$' docker rm alive
expect "the committed image is removed" 0 'Untagged' docker rmi committed

# Health.
expect "one with a health check is started" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --name health \
    --health-cmd 'cat /tmp/well' --health-interval 0.5s --health-retries 2 --health-timeout 5s $image sh -c 'touch /tmp/well; sleep 1000'
if eventually 15 is health Health.Status healthy; then pass "it gets healthy"; else fail "it gets healthy" "$(state health Health)"; fi
expect "what it lives on is taken" 0 '' docker exec health rm /tmp/well
if eventually 15 is health Health.Status unhealthy; then pass "it gets unhealthy"; else fail "it gets unhealthy" "$(state health Health)"; fi
expect "the log of the health check has the words" 0 "can't open '/tmp/well'" docker inspect --format '{{(index .State.Health.Log 0).Output}} {{json .State.Health.Log}}' health
expect "it is removed by force" 0 '^health$' docker rm --force health

# Restart policy: the container's process is killed from outside.
expect "one that is always restarted" 0 '^[0-9a-f]{64}$' "${run[@]}" --detach --restart always --name again $image sleep 1000
first=$(pid_of again)
kill -KILL "$first"
restarted() { is again Running true && [ "$(pid_of again)" != "$first" ]; }
if eventually 10 restarted; then pass "it runs again"; else fail "it runs again" "$(state again Status)"; fi
expect "a stop is not undone" 0 '^again$' docker stop -t 0 again
judge "it is stopped" 0 '^exited$' 0 "$(state again Status)"
expect "and removed" 0 '^again$' docker rm again

# Killing a paused one; the daemon's restart with containers alive.
expect "one is paused" 0 '^stuck$' bash -c "${run[*]} --detach --name stuck $image sleep 1000 >/dev/null && docker pause stuck"
expect "and removed by force" 0 '^stuck$' docker rm --force stuck
expect "auto-removal after kill" 0 '^brief$' bash -c "${once[*]} --detach --name brief $image sleep 1000 >/dev/null && docker kill brief"
expect "interactive shell" 0 'sum 42' bash -c \
    "{ sleep 1; printf 'echo sum \$((6*7))\nexit\n'; sleep 1; } | script -qec '${once[*]} -it $image sh' /dev/null"
expect "a resize reaches the terminal" 0 '44 99' script -qec "{ sleep 2; stty rows 44 cols 99 </dev/tty; } &
    ${once[*]} -it $image sh -c 'trap \"stty size\" WINCH; for i in \$(seq 50); do sleep 0.1; done'" /dev/null

end
