# shellcheck shell=bash
# shellcheck disable=SC2016,SC2119 # the shells inside expand; `begin` has flags only at times
# Sessions at a terminal (`sessions.txt`), typed with `docker` standing for pier, and for Docker as their judge.
#
# Sourced by `run` inside the private namespaces. PIER is the binary (else `pier` beside RUNTIME). Each engine has
# images, a directory and a network namespace of its own, so both can publish the same ports.

# shellcheck source=dockerd.sh
source "$HERE/dockerd.sh"
PIER=${PIER:-$(dirname "$RUNTIME")/pier}
mkdir -p "$WORK/alias" "$WORK/pier" "$WORK/docker"
printf '#!/bin/sh\nexec "%s" --root "%s/state" --run-root "%s/run" "$@"\n' "$PIER" "$WORK" "$WORK" >"$WORK/alias/docker"
chmod 755 "$WORK/alias/docker"

# root.tar: what all the images hold.
root=$WORK/root
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,root,mnt,www,packed}
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
busybox --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf '#!/bin/sh\nexec sh "$@"\n' >"$root/bin/bash" && chmod 755 "$root/bin/bash"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\npostgres:x:70:70::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:70:\nnogroup:x:65534:\n' >"$root/etc/group"
# As daemons should: it ends when it is told to.
printf '#!/bin/sh\ntrap "exit 0" TERM\nhttpd -f -p "$1" -h /www &\nwait\n' >"$root/bin/serve" && chmod 755 "$root/bin/serve"
echo 'It works' >"$root/www/index.html"
echo packed >"$root/packed/packedData"
tar -C "$root" --numeric-owner --owner=0 --group=0 -cf "$WORK/root.tar" .

# typed LINE FILE: runs it on a terminal and types what FILE says: `WAIT FOR => TYPED`. Without anything to wait for
# it is typed until there is an answer.
typed() {
    local terminal key text begin keys status=0
    terminal=$(mktemp -d "$WORK/typed.XXXX")
    mkfifo "$terminal/keys"
    SHELL=/bin/bash timeout -k 5 "$patience" script -qfec "$1" /dev/null <"$terminal/keys" >"$terminal/screen" &
    exec {keys}>"$terminal/keys"
    while IFS= read -r key; do
        begin=$(stat -c %s "$terminal/screen")
        text=${key%%=> *}
        text=${text% }
        if [ -n "$text" ]; then
            eventually 20 shows "$terminal/screen" "$text" || break
            printf '%b' "${key#*=> }" >&"$keys"
        else
            eventually 20 presses "$terminal/screen" "$begin" "${key#*=> }" || break
        fi
    done <"$2"
    wait $! || status=$?
    exec {keys}>&-
    tr -d '\r' <"$terminal/screen"
    return "$status"
}
shows() { tr '\r\n' '  ' <"$1" | grep -qE -- "$2"; }
presses() {
    printf '%b' "$3" >&"$keys"
    sleep 0.1
    tail -c "+$(($2 + 1))" "$1" | tr -d '\r\n' | grep -q .
}

# step: judges the line that was read, with all that was said about it.
step() {
    local output got=0
    [ -n "${line:-}" ] || return 0
    case $kind in
    '$') output=$(timeout -k 5 "$patience" bash -c "$line" 2>&1 </dev/null) || got=$? ;;
    '%') output=$(typed "$line" keys 2>&1) || got=$? ;;
    '@') output=$(eventually 20 bash -c "($line) >/dev/null 2>&1" 2>&1) || got=$? ;;
    esac
    if [ "$kind" != @ ] || [ "$got" != 0 ]; then
        judge "$engine: $title: $line" "${status:-0}" "${pattern:-}" "$got" "$output"
    fi
    line='' status='' pattern=''
}

# sessions ENGINE: all of the list in the working directory.
sessions() {
    local engine=$1 title='' line='' kind='' status='' pattern='' text
    ln -sf "$WORK/root.tar" root.tar
    while IFS= read -r text; do
        case $text in
        '#'* | '') ;;
        '== '*) step && title=${text#== } ;;
        '$ '* | '% '* | '@ '*) step && kind=${text:0:1} line=${text:2} && : >keys ;;
        '| '*) pattern=${text:2} ;;
        '? '*) status=${text:2} ;;
        *) printf '%s\n' "$text" >>keys ;;
        esac
    done <"$HERE/sessions.txt"
    step
    nothing_left "$engine leaves no container" docker ps --all --quiet
}

# pier's, in a network of their own and with `docker` as a word of the path.
export -f sessions step typed shows presses judge pass fail eventually nothing_left silent
export patience CLIENT HERE WORK
pier_says() {
    unshare --net bash -euo pipefail -c 'ip link set lo up; cd "$WORK/pier"; sessions pier'
}
mounts >"$WORK/mounts"
PATH=$WORK/alias:$PATH PIER_CGROUP_PARENT=/$TAG pier_says >"$WORK/pier.lines" 2>&1 &
theirs=$!
if [ -n "${JUDGE:-}" ]; then
    begin
    (cd "$WORK/docker" && sessions docker)
fi
wait "$theirs"
cat "$WORK/pier.lines"
nothing_left "pier leaves no process" processes 'containerd|dockerd'
if [ -n "${JUDGE:-}" ]; then end; else
    nothing_left "no mount is left" new_mounts "$WORK/mounts"
    nothing_left "no cgroup is left" cgroups
fi
