#!/usr/bin/env bash
# install-packages.sh GROUP...: installs the Debian or Ubuntu packages of these groups that are
# missing. Or, sourced from bash: install_packages GROUP...
#
# Prints nothing if nothing is missing, else what it installs and how long the downloads took.
# Status 0 if all packages are installed at the end, 1 (and one sentence) if some could not be, 2
# for wrong usage.

# ---- What each group consists of -------------------------------------------------------------
# group   package          program ("-": none, a library). Users of other distributions, where the
#                          package has another name, have to install the program.
ptmap_packages='
build     g++              g++
build     gcc              gcc
build     libc6-dev        -
build     binutils         objcopy
build     make             make
build     cmake            cmake
build     ninja-build      ninja
build     python3-dev      -
build     pybind11-dev     -
build     libelf-dev       -
build     libkdumpfile-dev -
build     gdb              gdb

qemu      qemu-system-x86  qemu-system-x86_64
qemu      seabios          -
qemu      ipxe-qemu        -

linux     apt              apt-get
linux     dpkg             dpkg-deb
linux     python3          python3
linux     gcc              gcc
linux     binutils         ld
linux     zstd             zstd

kernel    gcc              gcc
kernel    libc6-dev        -
kernel    binutils         ld
kernel    make             make
kernel    flex             flex
kernel    bison            bison
kernel    bc               bc
kernel    libelf-dev       -
kernel    xz-utils         xz

test      python3          python3
test      python3-pytest   -
test      python3-pytest-xdist -
test      python3-jsonschema -
test      libgtest-dev     -
test      zlib1g-dev       -
test      ccache           ccache
test      makedumpfile     makedumpfile
test      git              git
test      perl             prove
test      socat            socat
test      util-linux       unshare

style     clang-format     clang-format
style     shellcheck       shellcheck
style     black            black
style     flake8           flake8
style     mypy             mypy

roots     debootstrap      debootstrap
roots     git              git
roots     util-linux       unshare
'
# ------------------------------------------------------------------------------------------------

install_packages() (
    wanted=()           # packages
    programs=()         # the programs in them
    for group; do
        known=
        while read -r row_group package program; do
            [ "$row_group" = "$group" ] || continue
            known=yes
            wanted+=("$package")
            [ "$program" = - ] || programs+=("$program")
        done <<<"$ptmap_packages"
        if [ -z "$known" ]; then
            echo "install-packages.sh: no group '$group' (build, qemu, linux, kernel, test, style, roots)" >&2
            exit 2
        fi
    done
    if [ ${#wanted[@]} -eq 0 ]; then
        echo "usage: install-packages.sh GROUP... (build, qemu, linux, kernel, test, style, roots)" >&2
        exit 2
    fi

    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        missing=
        for program in "${programs[@]}"; do
            command -v "$program" >/dev/null || missing+=" $program"
        done
        [ -z "$missing" ] && exit 0
        echo "This is not Debian or Ubuntu: please install these programs:$missing" >&2
        exit 1
    fi

    # The second letter of the status is "i" if a package is installed. dpkg-query fails (quietly)
    # for names that it does not know: those are missing too.
    have=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null |
        sed -n 's/^.i. *//p') || true
    missing=()
    for package in "${wanted[@]}"; do
        case " ${have//$'\n'/ } ${missing[*]} " in
            *" $package "*) ;;
            *) missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} -eq 0 ] && exit 0

    if [ "$(id -u)" -eq 0 ]; then
        as_root=(env)
        how="as root"
    elif command -v sudo >/dev/null; then
        as_root=(sudo env)
        how="by sudo"
    else
        echo "Packages are missing, and this user is not root and has no sudo;" \
            "please have somebody run: apt-get install ${missing[*]}" >&2
        exit 1
    fi

    echo "Installing ${missing[*]} with apt-get, $how"
    log=$(mktemp) || exit 1
    trap 'rm -f "$log"' EXIT
    # Another installation may be running (a fresh Ubuntu updates itself): wait for it.
    apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    get() { "${apt[@]}" install -y --no-install-recommends "$@" "${missing[@]}" </dev/null; }
    # The package lists are updated only if they are missing or name versions that the archive no
    # longer has. If a list cannot be fetched the packages may still be.
    start=$SECONDS
    get --download-only >"$log" 2>&1 || {
        "${apt[@]}" update </dev/null >"$log" 2>&1 || true
        get --download-only >>"$log" 2>&1 || true  # the next call reports what is missing
    }
    echo "ptmap: downloaded in $((SECONDS - start)) s"
    if ! get >>"$log" 2>&1; then
        cat "$log" >&2
        echo "apt-get could not install ${missing[*]}; its output is above." >&2
        exit 1
    fi
)

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    install_packages "$@"
fi
