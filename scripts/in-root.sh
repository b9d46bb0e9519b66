#!/usr/bin/env bash
# in-root.sh: runs a command in a fresh clone on another Debian that has nothing installed.
#
#   scripts/in-root.sh SUITE COMMAND...             bookworm, trixie or sid; also: bash
#   scripts/in-root.sh --refresh SUITE COMMAND...   in a new root with today's packages; later runs
#                                                   use it if COMMAND passes
#
# For example: scripts/in-root.sh trixie tests/run.sh --quick
#
# The first run of a suite makes its root with debootstrap and keeps it in ~/.cache/ptmap/roots
# (PTMAP_CACHE), with the package lists of that day and every package that was ever installed
# there: a later run gets the same versions and downloads nothing. Mirror, keyring and proxy are
# those of this machine's apt. Each run has its own copy of the root. When the run ends, even if it
# is killed, its processes, mounts and files are gone. It shares only the cache. The clone has only
# what is committed.
#
# Needs root. Status: COMMAND's; 125 and one sentence if there is no root to run it in; 2 for wrong
# usage.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 125
suites=(bookworm trixie sid)
archives=var/cache/apt/archives  # where apt keeps packages, in a root

# Ends when the run's folder is removed. (Not by a trap: bash runs one only after the command has
# ended.)
finish() {  # STATUS
    exec 9<&-
    [ -z "${remover-}" ] || wait "$remover"
    exit "$1"
}
give_up() { echo "in-root.sh: $*" >&2; finish 125; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

refresh=
[ "${1-}" != --refresh ] || { refresh=yes; shift; }
[ $# -ge 2 ] || usage
suite=$1
shift
case " ${suites[*]} " in
    *" $suite "*) ;;
    *) echo "in-root.sh: no suite '$suite'; there are ${suites[*]}" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || give_up "only root can make and enter a root of $suite; try it with sudo."
{ command -v debootstrap && command -v git && command -v unshare; } >/dev/null ||
    "$here/scripts/install-packages.sh" roots || exit 125

cache=$(realpath -m "${PTMAP_CACHE:-${HOME:-/root}/.cache/ptmap}")
roots=$cache/roots
kept=$roots/$suite               # tree: the bare root; debs: packages installed there
mkdir -p "$roots/runs" "$kept/debs" || give_up "$roots cannot be written."

# ---- A folder for this run, removed when no process holds its lock ----------------------------

sweep() {  # removes what is left of a run whose remover was killed too
    local folder
    for folder in "$roots"/runs/*/; do
        [ ! -d "$folder" ] || flock -n "$folder" rm -rf "$folder"
    done
}

exec 8>"$roots/lock"
flock 8
sweep
run=$(mktemp -d "$roots/runs/$suite.XXXXXX") || give_up "$roots cannot be written."
exec 9<"$run"
flock 9
exec 8>&-
# The remover waits until this script and the first process in the root have ended. The kernel then
# ends all other processes in the root; they may still write for a moment.
setsid flock "$run" sh -c 'rm -rf "$0" || { sleep 1; rm -rf "$0"; }' "$run" \
    </dev/null >/dev/null 2>&1 9<&- &
remover=$!

# ---- In a mount and PID namespace of its own --------------------------------------------------

# Runs a command as the first process of new namespaces. They end with it, and it ends with this
# script, however that ends. The parent may have ended before --pdeathsig was set: hence the look at
# PPID.
apart() {  # COMMAND...
    setpriv --pdeathsig KILL bash -c '[ "$PPID" = "$0" ] || exit 1; exec unshare "$@"' $$ \
        --mount --pid --fork --kill-child -- "$@"
}

# The first process in a root: mounts, enters the root, runs the command and reaps other processes.
enter() {  # ROOT CACHE FOLDER TERM COMMAND...
    set -e
    local root=$1 cache=$2 folder=$3 term=$4
    shift 4
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mkdir -p "$root/root/.cache/ptmap"
    mount --bind "$cache" "$root/root/.cache/ptmap"
    mount -t tmpfs tmpfs "$root/root/.cache/ptmap/roots"
    # chroot alone is not enough: no user namespace can be made inside one.
    cd "$root"
    mount --move . /
    exec chroot . /usr/bin/env -i HOME=/root TERM="$term" LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /bin/bash -c 'cd "$0" && "$@" 9<&-; exit $?' "$folder" "$@"
}

in_root() {  # ROOT FOLDER COMMAND...
    apart bash -c "$(declare -f enter); enter \"\$@\"" in-root.sh "$1" "$cache" "$2" \
        "${TERM:-dumb}" "${@:3}"
}

# ---- A bare root --------------------------------------------------------------------------------

# Prints "MIRROR KEYRING", those of this machine's apt for Debian's main archive. KEYRING is "-" if
# apt's entry names none: then debootstrap uses its own.
mirror_of_apt() {
    local fields='$(CREATED_BY) $(COMPONENT) $(RELEASE) $(SITE) $(SOURCESENTRY)'
    local debians='(bookworm|trixie|forky|sid|(old)?stable|testing|unstable)'
    local made_by component release site entry keyring
    while read -r made_by component release site entry; do
        [[ "$made_by $component $release" =~ ^Packages\ main\ $debians$ ]] || continue
        keyring=$(sed -nE 's/^[^#]*signed-by *[:=] *(\/[^] ,]+).*/\1/Ip' "${entry%:*}" | head -n 1)
        echo "$site ${keyring:--}"
        return
    done < <(LC_ALL=C apt-get indextargets --no-release-info --format "$fields" 2>/dev/null)
    return 1
}

proxy_of_apt() {  # http|https
    local variable=${1}_proxy
    local proxy=${!variable-}
    eval "$(apt-config shell proxy "Acquire::$1::Proxy")"
    [ "$proxy" = DIRECT ] || echo "$proxy"
}

# This machine's apt settings for network access: proxies, time limits, checks.
network_of_apt() {
    local scheme proxy
    apt-config dump | grep '^Acquire::' |
        grep -vE '^Acquire::(IndexTargets|CompressionTypes|Changelogs|cdrom|GzipIndexes)|Auto-?Detect'
    for scheme in http https; do
        proxy=$(proxy_of_apt "$scheme")
        [ -z "$proxy" ] || echo "Acquire::$scheme::Proxy \"$proxy\";"
    done
}

make_tree() {  # FOLDER, where it is made
    local tree=$1 found mirror keyring options=() signed='' start=$SECONDS
    found=$(mirror_of_apt) ||
        give_up "this machine's apt has no source of Debian's main archive to make $suite from."
    read -r mirror keyring <<<"$found"
    [ "$keyring" = - ] || options+=("--keyring=$keyring" --force-check-gpg)
    [[ $mirror != https:* ]] || options+=(--include=ca-certificates)
    echo "in-root.sh: making a root of $suite from $mirror" >&2
    # A root is removed after each run, so dpkg need not wait for the disk, here or later.
    mkdir -p "$tree/etc/dpkg/dpkg.cfg.d"
    echo force-unsafe-io >"$tree/etc/dpkg/dpkg.cfg.d/unsafe-io"
    http_proxy=$(proxy_of_apt http) https_proxy=$(proxy_of_apt https) apart debootstrap \
        --variant=minbase --cache-dir="$kept/debs" "${options[@]}" "$suite" "$tree" "$mirror" \
        >"$run/log" 2>&1 || no_tree "$mirror"
    rm -f "$tree/$archives"/*.deb
    if [ "$keyring" != - ]; then
        install -D -m 644 -t "$tree/etc/apt/keyrings" "$keyring"
        signed="[signed-by=/etc/apt/keyrings/$(basename "$keyring")] "
    fi
    [[ $mirror != https:* ]] ||
        cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
    rm -f "$tree"/etc/apt/sources.list.d/*
    echo "deb $signed$mirror $suite main" >"$tree/etc/apt/sources.list"
    network_of_apt >"$tree/etc/apt/apt.conf.d/90host"
    cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
    in_root "$tree" / apt-get -q -o APT::Update::Error-Mode=any update \
        </dev/null >"$run/log" 2>&1 || no_tree "$mirror"
    echo "in-root.sh: that took $((SECONDS - start)) s" >&2
}

no_tree() {  # MIRROR
    local why
    why=$(grep -E '^(E:|W: Failed|curl|wget)' "$run/log" | tail -n 1)
    give_up "no root of $suite can be made from $1: ${why:-$(tail -n 1 "$run/log")}"
}

# ---- The run --------------------------------------------------------------------------------------

main() {
    exec 7>"$kept/lock"
    flock 7  # another run may be making this root
    if [ -n "$refresh" ]; then
        make_tree "$run/tree"
        tree=$run/tree
    else
        tree=$kept/tree
        if [ ! -d "$tree" ]; then
            make_tree "$run/tree"
            mv "$run/tree" "$tree"
        fi
    fi
    cp -a --reflink=auto "$tree" "$run/root" || give_up "the root of $suite cannot be copied."
    cp -al "$kept/debs/." "$run/root/$archives/"
    exec 7>&-

    [ -z "$(git -C "$here" status --porcelain --untracked-files=no)" ] ||
        echo "in-root.sh: changes that are not committed are not in the clone." >&2
    git clone -q "$here" "$run/root/ptmap" || give_up "$here cannot be cloned."

    in_root "$run/root" /ptmap "$@"
    local status=$?

    exec 7>"$kept/lock"
    flock 7
    if [ -n "$refresh" ] && [ $status -eq 0 ]; then
        # Packages that the archive no longer has go with the old root.
        in_root "$run/root" / apt-get -qq autoclean </dev/null >/dev/null
        rm -rf "$kept/tree" "$kept/debs"
        mv "$run/tree" "$kept/tree"
        mkdir "$kept/debs"
    fi
    find "$run/root/$archives" -maxdepth 1 -name '*.deb' -exec cp -lnt "$kept/debs" {} +
    finish $status
}

main "$@"; exit  # on one line: this file may change during a run
