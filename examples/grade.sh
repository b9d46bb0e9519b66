#!/usr/bin/env bash
# grade.sh: does the address space of a kernel pass a check? For a course, or a kernel's CI.
#
#   examples/grade.sh                     examples/lab32, which passes
#   examples/grade.sh --broken            the same with three mistakes in it, which does not
#   examples/grade.sh KERNEL.elf [RULES]  another build of lab32; RULES are lab32/lab32.check if not
#                                         given
#   examples/grade.sh --tap ...           the results as TAP 13, for `prove -e`
#
# Installs what is missing (as root or by sudo, and says what), builds ptmap and the lab, boots the
# kernel in QEMU, and lets GDB in batch mode evaluate the rules (help ptmap check). Prints what came
# of each. Status 0 where all hold, 1 where one fails, 2 where something could not be checked, such
# as a kernel that does not boot. PTMAP_GDB names another gdb.
set -euo pipefail
folder=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gdb=${PTMAP_GDB:-gdb}
boots_within=60  # seconds
form=-o
kernel=build/lab32/lab32-3g.elf target=one
rules=$PWD/examples/lab32/lab32.check
usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' examples/grade.sh >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
        --tap) form=-tap ;;
        --broken) kernel=build/lab32/lab32-3g-broken.elf target=broken ;;
        --) shift; break ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
# Names that were given begin where the caller is.
absolute() { case $1 in /*) echo "$1" ;; *) echo "$folder/$1" ;; esac; }
if [ $# -gt 0 ]; then
    [ "$target" = one ] && [ $# -le 2 ] || usage
    kernel=$(absolute "$1") target=
    [ $# -eq 1 ] || rules=$(absolute "$2")
fi

scripts/install-packages.sh build qemu >&2 || exit 2
# All that this script starts ends with it, however that ends.
work=$(tests/harness/guard.py $$) || exit 2
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
# All but the results goes to the standard error, and failing to get there is no result.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 2; }; }
scripts/build.sh release -DPTMAP_GDB="$(command -v "$gdb")" || exit 2
[ -z "$target" ] || quietly make -C examples/lab32 "$target"

# GDB's connection is a socket in our own folder: no port to be free or taken.
qemu-system-i386 -cpu pentium3 -m 64M -display none -monitor none -no-reboot \
    -kernel "$kernel" -serial "file:$work/console" -gdb chardev:gdb \
    -chardev "socket,id=gdb,path=$work/gdb,server=on,wait=off" >"$work/errors" 2>&1 &
guest=$!
SECONDS=0
until grep -q 'lab32: ready' "$work/console" 2>/dev/null; do
    if ! kill -0 "$guest" 2>/dev/null || [ "$SECONDS" -gt "$boots_within" ]; then
        cat "$work/console" "$work/errors" >&2 || true
        echo "grade.sh: the kernel does not come to \"lab32: ready\"" >&2
        exit 2
    fi
    sleep 0.1
done

# A name with a quote or a space in it is one word for GDB all the same.
quoted() { local name=${1//\\/\\\\}; echo "\"${name//\"/\\\"}\""; }
{
    echo "file $(quoted "$kernel")"
    echo "target remote $work/gdb"
    echo "ptmap check -quit $form $work/results -file $(quoted "$rules")"
} >"$work/commands"
# -quit ends GDB with the check's status. Should GDB not come as far, its own is no result.
status=0
"$gdb" -nx -q -batch -x build/release/gdb/ptmap-gdb.py -x "$work/commands" \
    >/dev/null 2>"$work/errors" || status=$?
cat "$work/results" 2>/dev/null || true
cat "$work/errors" >&2
case $status in
    0) grep -q -e '^[0-9]* rules\{0,1\}: ' -e '^1\.\.' "$work/results" || status=2 ;;
    1) grep -q '^ptmap check: ' "$work/errors" || status=2 ;;
    *) status=2 ;;
esac
exit "$status"
