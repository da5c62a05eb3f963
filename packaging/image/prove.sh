#!/bin/sh
# Runs what is in an image's root with that root and nothing else: packaging/image/prove.sh ROOT
#
# In namespaces of its own, so that no privilege is needed: what works here needs no file, no
# library and no device of the host. The daemon is started, asked through its socket, and stopped.
set -eu

root=$(cd "$1" && pwd)
config="$root/etc/wayfare/prove.toml"
printf '[router]\nasn = 64512\nrouter-id = "192.0.2.1"\nlisten = []\n[kernel]\n' > "$config"
unshare --user --map-root-user --mount --net sh -eu -c '
    # The environment of the image.
    change=$(command -v chroot)
    inside() { PATH=/ "$change" "$root" "$@"; }
    root=$0
    inside /wayfare-bgpd --version
    inside /wayfare-bgpd --check --config /etc/wayfare/prove.toml
    inside /wayfare check /etc/wayfare/prove.toml
    PATH=/ "$change" "$root" /wayfare-bgpd --config /etc/wayfare/prove.toml &
    daemon=$!
    tries=0
    until inside /wayfare show bgp summary; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || exit 1
        sleep 0.1
    done
    kill "$daemon"
    wait "$daemon"
' "$root"
rm -rf "$config" "$root/run/wayfare" "$root/var/lib/wayfare"
mkdir "$root/run/wayfare" "$root/var/lib/wayfare"
echo "runs in an empty root"
