# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# Docker with several containers at once: a compose project, and a swarm of one node with services and a stack.
#
# Sourced by `run` inside the private namespaces.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
BY_FILE=yes
begin
mounts >"$WORK/mounts"
project="$WORK/project"
mkdir "$project"

# compose.
cat >"$project/docker-compose.yml" <<YAML
version: "2.4"
services:
  web:
    image: $image
    command: sh -c "mkdir -p /w && echo served >/w/f && exec httpd -f -p 80 -h /w"
    networks: [front]
    healthcheck: { test: ["CMD", "cat", "/w/f"], interval: 0.5s, retries: 20 }
    mem_limit: 32m
    pids_limit: 50
  client:
    image: $image
    runtime: alt
    command: sh -c "wget -qO- http://web/f; exec sleep 1000"
    depends_on: { web: { condition: service_healthy } }
    networks: [front]
    volumes: ["kept:/kept", "./:/project:ro"]
    environment: { COLOUR: blue }
    stop_grace_period: 0s
    read_only: true
    cap_drop: [ALL]
networks: { front: {} }
volumes: { kept: {} }
YAML
compose=(docker-compose --ansi never --project-name pro --file "$project/docker-compose.yml")
expect "compose up" 0 'done' "${compose[@]}" up --detach
expect "both run" 0 'pro_client_1 .* Up .*pro_web_1 .* Up' bash -c "${compose[*]} ps | tr '\n' ' '"
expect "one has spoken to the other" 0 'served' bash -c "for i in 1 2 3 4 5 6 7 8 9; do ${compose[*]} logs --no-color client | grep served && break; sleep 0.3; done"
expect "compose exec" 0 '^blue$' "${compose[@]}" exec -T client sh -c "echo \$COLOUR"
expect "compose run" 0 'served' "${compose[@]}" run --rm client wget -qO- http://web/f
expect "compose top" 0 'httpd' "${compose[@]}" top web
expect "compose scale" 0 '^3$' bash -c "${compose[*]} up --detach --scale client=3 >/dev/null 2>&1; ${compose[*]} ps --quiet client | grep -c ."
expect "compose pause and unpause" 0 '(done|Unpausing)' bash -c "${compose[*]} pause web && ${compose[*]} unpause web"
expect "compose restart" 0 '(done|Restarting)' "${compose[@]}" restart --timeout 0 web
expect "compose stop and start" 0 '(done|Starting)' bash -c "${compose[*]} stop --timeout 0 && ${compose[*]} start"
expect "compose down" 0 'done' "${compose[@]}" down --volumes --timeout 0
nothing_left "compose leaves no container" docker ps --all --quiet

# A swarm of one node.
mounts >"$WORK/mounts"
tasks() { docker service ps --filter desired-state=running --format '{{.CurrentState}}' "$1" 2>/dev/null | grep -c '^Running'; }
running() { [ "$(tasks "$1")" = "$2" ]; }
# running_all WHAT SERVICE N: within a time all N tasks run.
running_all() { if eventually 40 running "$2" "$3"; then pass "$1"; else fail "$1" "$(docker service ps --no-trunc "$2" 2>&1)"; fi; }
expect "a swarm is made" 0 'is now a manager' docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377
expect "a service is made" 0 '[0-9a-z]{25}' docker service create --detach --name service --replicas 2 --no-resolve-image --network host \
    --limit-memory 32m --limit-pids 40 --env COLOUR=blue --stop-grace-period 0s $image sh -c 'echo $COLOUR; exec sleep 1000'
running_all "its two tasks run" service 2
expect "it is scaled" 0 'service' docker service scale --detach service=4
running_all "its four tasks run" service 4
expect "it is scaled down" 0 'service' docker service scale --detach service=1
running_all "one task runs" service 1
expect "it is updated" 0 'service' docker service update --detach --env-add COLOUR=red --no-resolve-image --update-order start-first --update-delay 0s service
updated() { [ "$(docker service inspect --format '{{with .UpdateStatus}}{{.State}}{{end}}' service)" = completed ]; }
if eventually 60 updated; then pass "the update is completed"; else fail "the update is completed" "$(docker service ps --no-trunc service 2>&1)"; fi
running_all "the new task runs" service 1
expect "its logs have the new word" 0 'red' bash -c 'for i in 1 2 3 4 5 6 7 8 9; do docker service logs service 2>&1 | grep red && break; sleep 0.3; done'
task=$(docker ps --quiet --filter name=service | head -n 1)
expect "exec in a task" 0 '^red$' docker exec "$task" sh -c "echo \$COLOUR"
kill -KILL "$(pid_of "$task")"
replaced() { running service 1 && ! docker ps --quiet | grep -q "$task"; }
if eventually 40 replaced; then pass "a task that died is replaced"; else fail "a task that died is replaced" "$(docker service ps service)"; fi
expect "it is rolled back" 0 'service' docker service rollback --detach service
expect "the service is removed" 0 '^service$' docker service rm service

# A stack, with a secret, a configuration and a network of its own.
echo hidden >"$WORK/secret" && echo open >"$WORK/config"
cat >"$WORK/stack.yml" <<YAML
version: "3.7"
services:
  one:
    image: $image
    command: sh -c "cat /run/secrets/secret /config; exec sleep 1000"
    secrets: [secret]
    configs: [{ source: config, target: /config }]
    deploy: { replicas: 2, resources: { limits: { memory: 32M, cpus: "0.5" } }, endpoint_mode: dnsrr }
    stop_grace_period: 0s
    networks: [inner]
secrets: { secret: { file: $WORK/secret } }
configs: { config: { file: $WORK/config } }
networks: { inner: { driver: overlay } }
YAML
expect "a stack is deployed" 0 'Creating service stack_one' docker stack deploy --resolve-image never --compose-file "$WORK/stack.yml" stack
running_all "its two tasks run" stack_one 2
expect "they have secret and configuration" 0 'hidden.*open' bash -c \
    'for i in 1 2 3 4 5 6 7 8 9; do docker service logs --raw stack_one 2>&1 | tr "\n" " " | grep "hidden.*open" && break; sleep 0.3; done'
expect "the stack is removed" 0 'Removing service stack_one' docker stack rm stack
nothing_left "its containers end" docker ps --quiet
expect "the swarm is left" 0 'left the swarm' docker swarm leave --force
docker container prune --force >/dev/null 2>&1

nothing_left "no container is left" docker ps --all --quiet
nothing_left "no state is left" entries "$WORK/exec/runtime-alt/moby" "$WORK/exec/runtime-runc/moby" \
    "$WORK/exec/containerd/daemon/io.containerd.runtime.v2.task/moby"
nothing_left "no process is left" processes 'containerd|dockerd'
nothing_left "no cgroup is left" cgroups
daemon_stops "$daemon_pid"
