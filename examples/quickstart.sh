#!/usr/bin/env bash
# quickstart.sh: from a fresh clone to the map of a running machine, in one command.
#
#   examples/quickstart.sh            lab32 and lab64, small kernels of our own (examples/)
#   examples/quickstart.sh --linux    Debian 12's 32-bit Linux (linux-image-686), with a process
#   examples/quickstart.sh --linux64  Debian's or the distribution's own 64-bit Linux
#
# Installs what is missing (as root or by sudo, and says what), builds ptmap, boots the guest in
# QEMU, attaches GDB in batch mode, prints `ptmap regs`, the map, `pte` of an address of each kind
# and `vdso`, and ends QEMU. lab32 has no vDSO: lab64 is shown for its own, and for a 64-bit map.
# Status 0 only if all of that worked. PTMAP_GDB names another gdb.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gdb=${PTMAP_GDB:-gdb}
kernel=
case $* in
    '') ;;
    --linux) kernel=686 ;;
    --linux64) kernel=4-level ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
groups=(build qemu)
[ -z "$kernel" ] || groups+=(linux)

scripts/install-packages.sh "${groups[@]}"
echo "Building ptmap"
# All that this script starts ends with it, however that ends.
work=$(tests/harness/guard.py $$)
export PTMAP_GUARDS=${PTMAP_GUARDS-}:$work
exec 9<"$work"
guest=
# End the guest by its id.
end_guest() {
    [ -z "$guest" ] || { kill "$guest" && wait "$guest"; } 2>/dev/null || true
    guest=
}
# Leave nothing lying about, however this script ends.
finish() {
    end_guest
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' HUP INT TERM
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
scripts/build.sh release -DPTMAP_GDB="$(command -v "$gdb")"

# Waits until a line of a file matches, or the guest is gone.
wait_for_line() {  # FILE PATTERN
    until grep -q "$2" "$1" 2>/dev/null; do
        if ! kill -0 "$guest" 2>/dev/null; then
            cat "$1" "$work/errors" >&2
            echo "quickstart: the guest ended before it was ready" >&2
            exit 1
        fi
        sleep 0.1
    done
}

boot_lab() {  # NAME QEMU IMAGE [QEMU'S ARGUMENT...]
    quietly make -C "examples/$1"
    echo "Booting $1 in QEMU"
    # GDB's connection is a socket in our own folder: no port to be free or taken.
    "$2" -kernel "build/$1/$3" "${@:4}" -m 64M -display none -monitor none \
        -serial "file:$work/console" -gdb chardev:gdb \
        -chardev "socket,id=gdb,path=$work/gdb,server=on,wait=off" 2>"$work/errors" &
    guest=$!
    wait_for_line "$work/console" "$1: ready"
    target=$work/gdb
}

boot_linux() {  # GUEST
    echo "Booting Linux in QEMU (the first time its package is fetched)"
    tests/guests/boot "$1" >"$work/console" 2>"$work/errors" &
    guest=$!
    wait_for_line "$work/console" 'target remote'
    target=$(sed -n "s/.*'target remote \(.*\)'.*/\1/p" "$work/console")
}

# Runs GDB commands on the guest and prints each before its answer.
in_gdb() {  # SYMBOLS COMMAND...
    {
        echo "${1:+file $1}"
        echo "target remote $target"
        for command in "${@:2}"; do
            printf 'echo \\n(gdb) %s\\n\n%s\n' "$command" "$command"
        done
        echo disconnect
    } >"$work/commands"
    "$gdb" -nx -q -batch -x build/release/gdb/ptmap-gdb.py -x "$work/commands"
}

case $kernel in
    '')
        boot_lab lab32 qemu-system-i386 lab32-3g.elf
        # user text, user stack, kernel text, a 4 MiB page, a device, nothing
        in_gdb build/lab32/lab32-3g.elf 'ptmap regs' ptmap \
            'pte 0x08048000 0xbfacb000 lab_wait 0xc0400000 0xf8820000 0'
        end_guest
        boot_lab lab64 qemu-system-x86_64 lab64.elf32 -cpu max,-la57
        in_gdb build/lab64/lab64.elf ptmap 'pte 0x7ffff7fc1000' vdso
        ;;
    # the process's next instruction and its stack, read-only and untouched memory (init.c),
    # the first page of the kernel's part, nothing
    686)
        boot_linux 686
        in_gdb '' 'ptmap regs' ptmap 'pte $pc $sp 0x10400000 0x11400000 0xc0000000 0' vdso
        ;;
    4-level)
        boot_linux 4-level
        in_gdb '' 'ptmap regs' ptmap \
            'pte $pc $sp 0x100040000000 0x100140000000 0xfffffe0000000000 0' vdso
        ;;
esac
