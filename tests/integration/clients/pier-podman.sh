# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119,SC2154 # the shells inside of containers expand; `begin` has flags only at times
# pier beside podman: names. /etc/hosts, /etc/resolv.conf and the host name, by every flag that has a say in them.
#
# Sourced by `run` inside the private namespaces. PIER is the binary (else `pier` beside RUNTIME). A second judge beside
# Docker (`pier.sh`): podman writes more into /etc/hosts, so facts are compared here and not lines. Not asked, because
# podman and Docker differ and pier follows Docker, whose rows there prove it: with --network none podman has no
# resolv.conf and gives the host name to 127.0.0.1; --add-host with the container's own name hides its address; who
# joins another's network has a host name of its own.

# shellcheck source=podman-lib.sh
source "$HERE/podman-lib.sh"
PIER=${PIER:-$(dirname "$RUNTIME")/pier}
begin
mkdir -p "$WORK/bin" "$WORK/view"
printf '#!/bin/sh\nexec "%s" --root "%s/pier" --run-root "%s/pier-run" "$@"\n' "$PIER" "$WORK" "$WORK" >"$WORK/bin/pier"
printf '#!/bin/sh\nexec %s "$@"\n' "$p" >"$WORK/bin/other"
chmod 755 "$WORK"/bin/*
export PATH=$WORK/bin:$PATH PIER_CGROUP_PARENT=/$TAG
expect "pier loads the image too" 0 'corten-check:1' pier load --input "$WORK/image.tar"

# What is asked inside, with the addresses of the engines' own networks as one word.
cat >"$WORK/view/names" <<'VIEW'
echo "host name $(hostname), $(cat /etc/hostname)"
for name in localhost one two box "$(hostname)"; do
    echo "$name $(awk -v name="$name" '$1 !~ /:|#/ { for (i = 2; i <= NF; i++) if ($i == name) print $1 }' /etc/hosts | sort -u | tr '\n' ' ')"
done
sed '/^#/d; /^$/d; s/ *$//; s/^/resolv.conf: /' /etc/resolv.conf | sort -s -k 2,2
for file in hosts hostname resolv.conf; do
    stat -c "%n %F %a %u %g" /etc/$file
    touch -c /etc/$file 2>/dev/null && echo "$file may be written"
done
VIEW
plain() { sed -E 's/\b(10\.88|10\.233)\.[0-9]+\.[0-9]+/OWN/g; s/\b[0-9a-f]{12}\b/ID/g'; }
asked() { timeout -k 5 "$patience" "$@" -v "$WORK/view:/view:ro" $image sh /view/names 2>&1 </dev/null | plain; }
# names FLAG…: a container with the flags knows the same names.
names() {
    local theirs ours
    theirs=$(asked other run --rm --cgroup-parent "/$TAG" "$@")
    ours=$(asked pier run --rm "$@")
    if [ "$theirs" = "$ours" ]; then
        pass "names with $*"
    else
        fail "names with $*" "$(diff <(echo "$theirs") <(echo "$ours") | sed 's/^</podman:/; s/^>/pier:/')"
    fi
}

names --hostname box
names --add-host one:192.0.2.1 --add-host two:192.0.2.2
names --dns 192.0.2.1 --dns 192.0.2.2
names --dns 192.0.2.1 --dns-search a.test --dns-search b.test --dns-option ndots:3 --dns-option rotate
names --dns-search .
names --network host
for engine in "other --cgroup-parent=/$TAG" pier; do
    # shellcheck disable=SC2086 # an engine and its flag are two words
    set -- $engine
    expect "one to join ($1)" 0 '^[0-9a-f]{64}$' "$1" run "${@:2}" -d --name first --hostname box --add-host one:192.0.2.1 \
        --dns 192.0.2.9 --dns-search a.test $image sleep 1000
done
# All but the host name, which is the other's with Docker.
sed -i -E '/^echo "host name/d; s/ box "\$\(hostname\)"//' "$WORK/view/names"
names --network container:first
expect "the other's (podman)" 0 first other rm -f -t 0 first
expect "the other's (pier)" 0 first pier rm -f first
nothing_left "pier leaves no container" pier ps --all --quiet
end
