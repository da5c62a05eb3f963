#!/bin/sh
# mkpeers.sh [--print]: build the root directory the lab's nodes run on, once, into a cache.
#
# The peers come from Debian sid, because what operators will meet next year is there today. Where
# sid cannot be installed, Debian 13 (trixie) and then Debian 12 (bookworm) are tried, and the
# output says which one it became. Nothing is installed on this machine: everything lands in
#   ${WAYFARE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/wayfare}/peers-SUITE-{root,user}
# Root unpacks plainly. A plain user needs `uidmap` and a line in /etc/subuid, because FRR and
# OpenBGPD change to users of their own; without them the script stops and says so.
#
# Beside a newer suite lies bookworm's keepalived and FRR, unpacked with their libraries into a root
# of their own below /usr/local/lib/bookworm (`chroot` runs them): virtual routers are to work with
# what is installed today, too. An image of an earlier day gets that part without being rebuilt.
# So does BIRD 1.6.8, Debian 12's package `bird`, below /usr/local/lib/bird1: nodes of Calico run a
# fork of it.
# Environment: WAYFARE_CACHE, MIRROR (Debian mirror), WAYFARE_SUITES (default "sid trixie bookworm").
set -eu
export PATH="$PATH:/usr/sbin:/sbin" # a plain user's lacks them

cache=${WAYFARE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wayfare}
suites=${WAYFARE_SUITES:-sid trixie bookworm}
recipe=3 # raised when what goes in changes, so that an old root is rebuilt
# BIRD 2 and BIRD 3 are one package to dpkg: the benchmark's second BIRD is unpacked beside the first.
bird2=/usr/local/lib/bird2
# The same for virtual routers of Debian 12; its own recipe, because it comes to an image afterwards.
bookworm=/usr/local/lib/bookworm
bookworm_recipe=1
# BIRD 1.6, which Calico's nodes run: two programs that need libc alone.
bird1=/usr/local/lib/bird1
tools="keepalived exabgp iproute2 iputils-ping tcpdump tshark procps nftables mount ethtool"

if [ "$(id -u)" = 0 ]; then
    kind=root mode=root
else
    kind=user mode=unshare
    if ! command -v newuidmap >/dev/null || ! grep -q "^$(id -un):\|^$(id -u):" /etc/subuid; then
        echo "peers: SKIPPED: user $(id -un) has no range of user ids, which FRR and OpenBGPD need." >&2
        echo "peers: cure: apt-get install uidmap, and a line for $(id -un) in /etc/subuid" >&2
        echo "peers: with WAYFARE_PEERS=DIR (a root somebody else built) BIRD and GoBGP run anyway" >&2
        exit 3
    fi
fi
# Every step that touches files of the root's own users runs with their ids mapped.
mapped() {
    if [ $kind = root ]; then "$@"; else unshare -U --map-root-user --map-auto -- "$@"; fi
}

rm_old() { [ ! -e "$1" ] || mapped rm -rf --one-file-system "$1"; }

# Puts bookworm's keepalived and FRR into the image $1. Without them some tests are skipped by name.
add_bookworm() {
    old=$1$bookworm
    ! grep -qs "recipe $bookworm_recipe\$" "$old/version" || return 0
    echo "peers: adding keepalived and FRR of Debian bookworm"
    if ! mmdebstrap --quiet --mode=$mode --variant=extract --format=tar \
        --include=keepalived,frr,dash \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Retries "3"' \
        bookworm - ${MIRROR:+"$MIRROR"} >"$1.beside.tar" 2>"$cache/mkpeers-beside.log"
    then
        rm -f "$1.beside.tar"
        echo "peers: NOTE: bookworm's keepalived and FRR cannot be had:" >&2
        tail -3 "$cache/mkpeers-beside.log" >&2
        return 0
    fi
    rm_old "$old.new"
    mapped sh -ec 'mkdir -p "$1.new" && cd "$1.new"
        tar --exclude="./dev/*" --exclude="./usr/share" --exclude="./usr/include" \
            --exclude="*/perl*" --exclude="*/gconv" --exclude="./var/cache" -xf "$2"
        mkdir -p proc sys run tmp var/run var/tmp/frr var/log etc/frr usr/share
        ln -sf dash bin/sh
        # Packages that are only unpacked make no users: those of the image serve both.
        cp "$3/etc/passwd" "$3/etc/group" etc/
        {
            chroot . /usr/sbin/keepalived -v 2>&1 | sed -n "1s/.* v\([0-9.]*\) .*/keepalived \1/p"
            chroot . /usr/lib/frr/zebra -v | sed -n "1s/zebra version /frr /p"
        } | paste -sd, >version
        echo "recipe $4" >>version
        rm -rf "$1" && mv "$1.new" "$1"' sh "$old" "$1.beside.tar" "$1" "$bookworm_recipe"
    rm -f "$1.beside.tar"
    echo "peers: $(head -1 "$old/version") in $bookworm"
}

# Puts BIRD 1.6 into the image $1. Without it the labs of mixed Calico clusters are skipped by name.
add_bird1() {
    ! [ -s "$1$bird1/version" ] || return 0
    echo "peers: adding BIRD 1.6 of Debian bookworm"
    if ! mmdebstrap --quiet --mode=$mode --variant=extract --format=tar --include=bird \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Retries "3"' \
        bookworm - ${MIRROR:+"$MIRROR"} >"$1.bird1.tar" 2>"$cache/mkpeers-bird1.log"
    then
        rm -f "$1.bird1.tar"
        echo "peers: NOTE: bookworm's BIRD 1.6 cannot be had:" >&2
        tail -3 "$cache/mkpeers-bird1.log" >&2
        return 0
    fi
    mapped sh -ec 'rm -rf "$1.new" && mkdir -p "$1.new" && cd "$1.new"
        tar --wildcards -xf "$2" "./usr/sbin/bird*"
        chroot "$3" "$4.new/usr/sbin/bird" --version 2>&1 | sed -n "s/^BIRD version //p" >version
        test -s version
        rm -rf "$1" && mv "$1.new" "$1"' sh "$1$bird1" "$1.bird1.tar" "$1" "$bird1" ||
        echo "peers: NOTE: bookworm's BIRD 1.6 does not run in the image" >&2
    rm -f "$1.bird1.tar"
    [ ! -s "$1$bird1/version" ] || echo "peers: bird $(cat "$1$bird1/version") in $bird1"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
command -v flock >/dev/null && flock 9 # two `make test` at once build one root

for suite in $suites; do
    dir=$cache/peers-$suite-$kind
    if grep -q "recipe $recipe\$" "$dir/usr/share/wayfare-peers" 2>/dev/null; then
        echo "peers: $(head -1 "$dir/usr/share/wayfare-peers") in $dir (already built)"
        [ $suite = bookworm ] || [ "${1:-}" = --print ] || add_bookworm "$dir"
        [ "${1:-}" = --print ] || add_bird1 "$dir"
        exit 0
    fi
    [ "${1:-}" != --print ] || continue
    if ! command -v mmdebstrap >/dev/null; then
        echo "peers: mmdebstrap is missing. cure: apt-get install mmdebstrap" >&2
        exit 2
    fi
    case $suite in
        bookworm) peers="bird2 frr gobgpd openbgpd" beside=: ;;
        *) peers="bird3 frr gobgpd openbgpd"
            beside="cd /tmp && apt-get -qq download bird2 && dpkg -x bird2_*.deb $bird2 &&
                dpkg-deb -f bird2_*.deb Version >$bird2/version; rm -f bird2_*.deb" ;;
    esac
    echo "peers: building Debian $suite root in $dir"
    start=$(date +%s)
    rm_old "$dir.new"
    mkdir -p "$dir.new"
    # sid's Release may look expired to a machine whose clock runs behind or ahead.
    if mmdebstrap --quiet --mode=$mode --variant=apt --format=tar \
        --include="$(echo $peers $tools | tr ' ' ,)" \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Retries "3"' \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="chroot \"\$1\" sh -c '$beside'" \
        "$suite" - ${MIRROR:+"$MIRROR"} >"$dir.tar" 2>"$cache/mkpeers-$suite.log"
    then
        mapped tar -C "$dir.new" --exclude='./dev/*' -xf "$dir.tar"
        rm -f "$dir.tar"
        versions=$(mapped chroot "$dir.new" dpkg-query -W -f '${Package} ${Version}, ' \
            $peers exabgp keepalived | sed 's/, $//')
        # A mirror without it costs the benchmark one column and no test anything.
        if [ -s "$dir.new$bird2/version" ]; then
            versions="$versions, bird2 $(cat "$dir.new$bird2/version") in $bird2"
        fi
        mapped sh -c 'printf "%s\n" "$1" "$2" >"$0"' "$dir.new/usr/share/wayfare-peers" \
            "Debian $suite: $versions" "recipe $recipe"
        rm_old "$dir"
        mv "$dir.new" "$dir"
        [ $suite = bookworm ] || add_bookworm "$dir"
        add_bird1 "$dir"
        echo "peers: Debian $suite: $versions"
        echo "peers: built in $(($(date +%s) - start)) s, $(mapped du -sm "$dir" | cut -f1) MB"
        [ "$suite" = "${suites%% *}" ] ||
            echo "peers: NOTE: ${suites%% *} could not be installed, these are $suite's versions"
        exit 0
    fi
    rm -f "$dir.tar"
    rm_old "$dir.new"
    echo "peers: Debian $suite cannot be installed here:" >&2
    tail -3 "$cache/mkpeers-$suite.log" >&2
done
[ "${1:-}" != --print ] || echo "peers: none built yet in $cache"
echo "peers: no suite could be installed; tests against real routers will be skipped by name" >&2
exit 2
