#!/bin/sh
# Runs what is in an image's root with that root and nothing else: packaging/image/prove.sh ROOT
#
# In a namespace of its own, so that no privilege is needed: what works here needs no file, no
# library and no device of the host.
set -eu

root=$1
inside() {
    unshare --user --map-root-user --mount --net chroot "$root" "$@"
}
inside /wayfare-bgpd --version
inside /wayfare --version
printf '[router]\nasn = 64512\nrouter-id = "192.0.2.1"\n' > "$root/etc/wayfare/prove.toml"
inside /wayfare-bgpd --check --config /etc/wayfare/prove.toml
inside /wayfare check /etc/wayfare/prove.toml
rm "$root/etc/wayfare/prove.toml"
echo "runs in an empty root"
