#!/bin/sh
# Packs a directory as a container image of one layer: packaging/image/oci.sh ROOT OUT.tar VERSION
#
# Equal input gives equal output: names sorted, owners 0, times those of SOURCE_DATE_EPOCH (0).
# Needs tar, gzip and sha256sum.
set -eu

root=$1
out=$2
version=$3
name="ghcr.io/wayfare-routing/wayfare:$version"
epoch=${SOURCE_DATE_EPOCH:-0}
case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
blobs="$work/oci/blobs/sha256"
mkdir -p "$blobs"

pack() {
    tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$epoch" --directory="$1" --file="$2" .
}
digest() {
    sha256sum "$1" | cut -d ' ' -f 1
}
# Puts a file among the blobs and says its digest.
keep() {
    sum=$(digest "$1")
    mv "$1" "$blobs/$sum"
    echo "$sum"
}
size() {
    wc -c < "$blobs/$1" | tr -d ' '
}

pack "$root" "$work/layer"
plain=$(digest "$work/layer")
gzip -9 -n < "$work/layer" > "$work/layer.gz"
layer=$(keep "$work/layer.gz")

created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
cat > "$work/config" <<END
{"created":"$created","architecture":"$arch","os":"linux","config":{"Entrypoint":["/wayfare-bgpd"],"Cmd":["--config","/etc/wayfare/bgpd.toml"],"Env":["PATH=/","MALLOC_TRIM_THRESHOLD_=1048576"],"WorkingDir":"/","Labels":{"org.opencontainers.image.title":"wayfare","org.opencontainers.image.version":"$version","org.opencontainers.image.licenses":"MIT OR Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:$plain"]},"history":[{"created":"$created","created_by":"packaging/image/oci.sh"}]}
END
config=$(keep "$work/config")

cat > "$work/manifest" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$(size "$config")},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$(size "$layer")}]}
END
manifest=$(keep "$work/manifest")

echo '{"imageLayoutVersion":"1.0.0"}' > "$work/oci/oci-layout"
cat > "$work/oci/index.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest","size":$(size "$manifest"),"platform":{"architecture":"$arch","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"$version","io.containerd.image.name":"$name"}}]}
END
# What `docker load` looks for.
cat > "$work/oci/manifest.json" <<END
[{"Config":"blobs/sha256/$config","RepoTags":["$name"],"Layers":["blobs/sha256/$layer"]}]
END
pack "$work/oci" "$work/out"
mv "$work/out" "$out"
echo "$out: $name, manifest sha256:$manifest"
