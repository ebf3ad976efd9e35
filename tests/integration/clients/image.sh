#!/usr/bin/env bash
# Makes an image without a registry: image.sh TAR. The tar is an OCI layout and a docker-archive at once.
#
# One layer of Debian's static busybox, named localhost/corten-check:1. All of it is written here, so that
# the checks need no network and no other tool; times are zero, so the same busybox gives the same bytes.
set -euo pipefail

name=localhost/corten-check:1
tar=$(readlink -f "$1")
busybox=$(command -v busybox)
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

root=$work/root blobs=$work/layout/blobs/sha256
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,root,home} "$blobs"
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
"$busybox" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nusers:x:100:\nnogroup:x:65534:\n' >"$root/etc/group"
printf 'no program\n' >"$root/etc/text"

pack() { tar --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -C "$1" -cf "$2" .; }
# blob FILE: moves the file to its place and prints its digest in hex.
blob() {
    local digest
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    mv "$1" "$blobs/$digest"
    printf '%s' "$digest"
}
size() { stat -c %s "$blobs/$1"; }

pack "$root" "$work/layer"
layer=$(blob "$work/layer")
cat >"$work/config" <<JSON
{"architecture":"$(dpkg --print-architecture)","os":"linux","created":"1970-01-01T00:00:00Z",
 "config":{"Env":["PATH=/bin"],"Cmd":["sh"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},
 "history":[{"created":"1970-01-01T00:00:00Z","created_by":"busybox"}]}
JSON
config=$(blob "$work/config")
cat >"$work/manifest" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
 "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$(size "$config")},
 "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:$layer","size":$(size "$layer")}]}
JSON
manifest=$(blob "$work/manifest")
cat >"$work/layout/index.json" <<JSON
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest",
 "size":$(size "$manifest"),"annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"1"}}]}
JSON
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/layout/oci-layout"
printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]' "$config" "$name" "$layer" \
    >"$work/layout/manifest.json"
tar --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -C "$work/layout" -cf "$tar" \
    oci-layout index.json manifest.json blobs
