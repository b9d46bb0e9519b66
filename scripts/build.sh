#!/usr/bin/env bash
# build.sh PRESET [ARGUMENT...]: builds ptmap with a preset of CMakePresets.json.
#
# The arguments are for CMake: -DPTMAP_GDB=/usr/bin/gdb is the gdb that will load it. Prints
# nothing; if it fails, the output of CMake and the compiler. Two builds at once wait for each other,
# because CMake does not wait and would break both.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

mkdir -p build
exec 8>"build/$1.lock"
flock 8
said=$({ cmake --preset "$@" && cmake --build --preset "$1"; } 2>&1 8>&-) || {
    printf '%s\n' "$said" >&2
    exit 1
}
