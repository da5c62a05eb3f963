#!/bin/sh
# Builds the container image from nothing but static binaries: packaging/image/build.sh [OUT.tar]
#
# No container engine is needed. The result is an OCI layout in a tar, which also has what
# `docker load` reads: docker load -i OUT.tar, or skopeo copy oci-archive:OUT.tar docker://...
#
# The C library is linked in (`crt-static`). musl would do too, where its target and compiler are:
# TARGET=x86_64-unknown-linux-musl. glibc is the default since its allocator is the one measured.
set -eu

cd "$(dirname "$0")/../.."
out=${1:-target/image/wayfare.tar}
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# A directory of its own: other flags than those of a package's build.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/image"
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --release --locked --target "$target" --bin wayfare-bgpd --bin wayfare

binaries="$CARGO_TARGET_DIR/$target/release"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/etc/wayfare" "$root/run/wayfare" "$root/var/lib/wayfare" "$root/tmp"
chmod 1777 "$root/tmp"
for name in wayfare-bgpd wayfare; do
    # What asks for an interpreter or a library is not for an empty root.
    if readelf -ld "$binaries/$name" | grep -Eq 'INTERP|NEEDED'; then
        echo "$binaries/$name is not static" >&2
        exit 1
    fi
    install -m 0755 "$binaries/$name" "$root/$name"
    strip --strip-debug "$root/$name"
done
packaging/image/prove.sh "$root"
mkdir -p "$(dirname "$out")"
packaging/image/oci.sh "$root" "$out" "$version"
