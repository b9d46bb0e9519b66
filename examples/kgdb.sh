#!/usr/bin/env bash
# kgdb.sh: ptmap on a kernel that is debugged by itself: kgdb, over a serial line.
#
#   examples/kgdb.sh        64-bit Linux: 4-level paging, KPTI, KASLR
#   examples/kgdb.sh --pae  32-bit Linux: PAE, KPTI, the space split at 2 GiB
#
# Installs what is missing (as root or by sudo, and says what), builds ptmap and, the first time,
# the kernel (some minutes), boots it in QEMU, lets it break into kgdb, attaches GDB in batch mode to
# its serial line, puts the kernel's symbols where KASLR put the kernel, and prints `pte` of an
# address of each kind, `vdso`, the map, and what that cost. The line is slow: the map takes up to a
# minute. Then it ends QEMU. Status 0 only if all of that worked. PTMAP_GDB names another gdb.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gdb=${PTMAP_GDB:-gdb}
case $* in
    # the process's writable, PROT_NONE and untouched memory (tests/guests/init.c)
    '') name=kgdb-64 areas='0x100000000000 0x100100000000 0x100140000000' ;;
    --pae) name=kgdb-pae areas='0x10000000 0x11000000 0x11400000' ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac

scripts/install-packages.sh build qemu linux kernel
echo "Building ptmap"
# All that this script starts ends with it, however that ends.
work=$(tests/harness/guard.py $$)
export PTMAP_GUARDS=${PTMAP_GUARDS-}:$work
exec 9<"$work"
guest=
# Leave nothing lying about, however this script ends.
finish() {
    [ -z "$guest" ] || { kill "$guest" && wait "$guest"; } 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' HUP INT TERM
scripts/build.sh release -DPTMAP_GDB="$(command -v "$gdb")"

echo "Booting Linux in QEMU (the first time it is built)"
tests/guests/boot --kgdb "$name" >"$work/console" 2>"$work/errors" &
guest=$!
until grep -q 'Enter or Ctrl-C' "$work/console"; do
    if ! kill -0 "$guest" 2>/dev/null; then
        cat "$work/console" "$work/errors" >&2
        echo "kgdb.sh: the guest ended before it was ready" >&2
        exit 1
    fi
    sleep 0.1
done
target=$(sed -n "s/.*'target remote \(.*\)'.*/\1/p" "$work/console")
vmlinux=$(sed -n 's/^ *ptmap kaslr //p' "$work/console")

# Each command, then its answer. The symbol file comes before the target: from it GDB knows what
# machine that is.
{
    echo "file $vmlinux"
    echo "target remote $target"
    for command in "ptmap kaslr $vmlinux" "pte \$pc $areas" vdso ptmap 'show ptmap memory'; do
        printf 'echo \\n(gdb) %s\\n\n%s\n' "$command" "$command"
    done
    echo disconnect
} >"$work/commands"
"$gdb" -nx -q -batch -x build/release/gdb/ptmap-gdb.py -x "$work/commands"
