# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside of containers expand; `begin` has flags only at times
# podman: pods, play kube, builds (buildah's calls), networks, and what it keys on a runtime's name.
#
# Sourced by `run` inside the private namespaces.

# shellcheck source=podman-lib.sh
source "$HERE/podman-lib.sh"
begin

# A network.
expect "a network with names and a port" 0 'served' bash -c "
    $p network create --subnet 10.78.0.0/24 net >/dev/null
    $p run --detach --name web --network net --publish 127.0.0.1:8078:80 --cgroup-parent /$TAG $image \
        sh -c 'mkdir /w && echo served >/w/f && exec httpd -f -p 80 -h /w' >/dev/null
    for i in 1 2 3 4 5 6; do $p run --rm --network net --cgroup-parent /$TAG $image wget -qO- http://web/f && break; sleep 0.3; done"
expect "they are removed" 0 'net' bash -c "$p rm -f -t 0 web >/dev/null && $p network rm net"

# Pods and Kubernetes' YAML.
expect "a pod is made" 0 '^[0-9a-f]{64}$' "${podman[@]}" pod create --name pod --network none --cgroup-parent "/$TAG"
expect "two in it share their namespaces" 0 '^shared$' bash -c "
    $p run --detach --pod pod --name one $image sleep 1000 >/dev/null
    $p run --detach --pod pod --name two $image sleep 1000 >/dev/null
    a=\$($p exec one sh -c 'stat -Lc %i /proc/self/ns/net /proc/self/ns/ipc'); b=\$($p exec two sh -c 'stat -Lc %i /proc/self/ns/net /proc/self/ns/ipc')
    [ -n \"\$a\" ] && [ \"\$a\" = \"\$b\" ] && echo shared"
expect "pod top and stats" 0 'sleep' bash -c "$p pod top pod && $p pod stats --no-stream pod"
expect "pod pause, unpause, restart, stop" 0 '' bash -c "$p pod pause pod && $p pod unpause pod && $p pod restart pod && $p pod stop -t 0 pod"
expect "pod start and kube" 0 'kind: Pod' bash -c "$p pod start pod >/dev/null && $p generate kube pod"
expect "the pod is removed" 0 '[0-9a-f]{64}' "${podman[@]}" pod rm --force --time 0 pod
cat >"$WORK/pod.yml" <<YAML
apiVersion: v1
kind: Pod
metadata: { name: played }
spec:
  hostNetwork: true
  containers:
    - name: main
      image: $image
      imagePullPolicy: Never
      command: [sh, -c, 'cat /data/note; sleep 1000']
      env: [{ name: COLOUR, value: blue }]
      resources: { limits: { memory: 32Mi, cpu: 500m } }
      securityContext: { readOnlyRootFilesystem: true, runAsUser: 1000, capabilities: { drop: [ALL] } }
      volumeMounts: [{ name: data, mountPath: /data }]
  volumes: [{ name: data, configMap: { name: notes } }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: notes }
data: { note: from-kube }
YAML
expect "play kube" 0 'Pod:' "${podman[@]}" play kube "$WORK/pod.yml"
expect "what is played runs as asked" 0 '^from-kube blue 1000$' "${podman[@]}" exec played-main sh -c "echo \$(cat /data/note) \$COLOUR \$(id -u)"
expect "play kube down" 0 '[0-9a-f]{64}' "${podman[@]}" play kube --down "$WORK/pod.yml"
"${podman[@]}" volume prune --force >/dev/null 2>&1

# A build: buildah's calls.
mkdir "$WORK/build" && printf 'FROM %s\nRUN echo built >/built && id -u >/uid\nUSER 1000\nRUN id -u >/tmp/user\n' $image >"$WORK/build/Dockerfile"
expect "a build" 0 'Successfully tagged|COMMIT' "${podman[@]}" build --network none --cgroup-parent "/$TAG/build" --tag built "$WORK/build"
expect "what it built" 0 '^built 0 1000$' "${once[@]}" built sh -c "echo \$(cat /built /uid /tmp/user)"
printf 'FROM %s\nRUN exit 3\n' $image >"$WORK/build/Dockerfile"
expect "a failing step is told" '[0-9]+' 'exit status 3' "${podman[@]}" build --network none --cgroup-parent "/$TAG/build" "$WORK/build"

# buildah itself.
buildah=(buildah --root "$WORK/root" --runroot "$WORK/runroot" --storage-driver "${STORAGE:-overlay}")
b="${buildah[*]}"
expect "buildah takes the image" 0 'working' "${buildah[@]}" from --pull-never --name working $image
for tty in false true; do
    expect "buildah runs a command (terminal: $tty)" 0 'ran' \
        "${buildah[@]}" run --runtime "$RUNTIME" --isolation oci --network none --tty=$tty working sh -c 'echo ran; echo made >/made'
done
expect "buildah tells its exit status" 5 '' "${buildah[@]}" run --runtime "$RUNTIME" --isolation oci --network none working sh -c 'exit 5'
got=0
output=$(echo over | timeout 30 "${buildah[@]}" run --runtime "$RUNTIME" --isolation oci --network none working cat 2>&1) || got=$?
judge "buildah hands standard input on" 0 'over' "$got" "$output"
expect "buildah commits what was run" 0 '' bash -c "$b commit -q working committed"
expect "and it is there" 0 '^made$' "${once[@]}" committed cat /made
expect "the working container is removed" 0 '[0-9a-f]{64}' "${buildah[@]}" rm working

# By the name of the configuration.
expect "a runtime of containers.conf" 0 '^hello$' "${podman[@]}" --runtime chosen run --rm --network none --cgroup-parent "/$TAG" $image echo hello
expect "its log is read as JSON" 127 'executable file .*not found in \$PATH.*OCI runtime attempted to invoke a command that was not found' \
    "${podman[@]}" --runtime chosen run --rm --network none --cgroup-parent "/$TAG" $image no-such-command

# By name: podman keys what a runtime can do on the name of its file.
for name in runc crun; do
    ln -s "$RUNTIME" "$WORK/$name"
    by=("${podman[@]}" --runtime "$WORK/$name")
    expect "called $name, it runs" 0 '^hello$' "${by[@]}" run --rm --network none --cgroup-parent "/$TAG" $image echo hello
    expect "called $name, a missing command is 127" 127 'not found in \$PATH' \
        "${by[@]}" run --rm --network none --cgroup-parent "/$TAG" $image no-such-command
done

end
