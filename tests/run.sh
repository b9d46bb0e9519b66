#!/usr/bin/env bash
# run.sh: the tests, from a fresh clone, in one command.
#
#   tests/run.sh                 what every change has to pass: ten minutes on two cores
#   tests/run.sh --quick         all that boots no real Linux kernel, without the mutants
#   tests/run.sh --all           the default run and every group
#   tests/run.sh --group NAME    only this group; can be given several times
#   tests/run.sh --list          the groups, and the minutes that each took here last
#
#   --without NAME               leaves out this group; can be given several times
#   --within MINUTES             leaves out groups that would not end within MINUTES at the pace so
#                                far, and says which
#
# Installs what is missing (as root or by sudo, and says what), builds, and runs. All downloads, and
# kernels that have to be built, are done before the first test begins. The last line is "N passed,
# N failed". Kernels, roots and compiled files are kept in ~/.cache/ptmap (PTMAP_CACHE).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# ---- The groups, in the order of --all ---------------------------------------------------------
# minutes: of the first run, on two cores. kernels: the guests and kernels that tests/guests/prepare
# has to get first.
# name     minutes kernels              what
groups='
default    10      686,4-level-pti      native tests, every command on bare machines, two Linux kernels
long       3       none                 whole matrices on bare machines, the CPU as judge
guests     5       --packaged           every packaged Linux, from 6.1 to the newest
symbols    3       amd64-6.12-dbg,amd64-sid-dbg  packaged kernels with their vmlinux and modules
kernels    7       --built              kernels of our own: kgdb, symbols, the dump of their own tables
roots      18      --packaged           the default run in bare roots of Debian 13 and unstable
boots      8       amd64,amd64-dbg,amd64-6.12-dbg  20 starts of the same kernels with modules
vmcore     2       --vmcore             crash dumps of a real kernel, made once by kexec
mutants    13      --packaged,--built   ptmap broken on purpose: does a test notice?
newest     40      --packaged           kernels and roots newer than those kept; reports, never fails
'
not_in_all=newest
style_suite=bookworm  # formatters and linters of other releases want another style
# ------------------------------------------------------------------------------------------------

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
cache=${PTMAP_CACHE:-$HOME/.cache/ptmap}
took=$cache/minutes/$codename  # a file for each group: minutes of its last run
mkdir -p "$took"
declare -A minutes kernels_of what_of
names=()
while read -r name first kernels what; do
    [ -n "$name" ] || continue
    names+=("$name")
    minutes[$name]=$(cat "$took/$name" 2>/dev/null || echo "$first")
    [ "$kernels" = none ] && kernels=
    kernels_of[$name]=${kernels//,/ }
    what_of[$name]=$what
done <<<"$groups"

require_group() {  # NAME
    [ -n "$1" ] && [ -n "${minutes[$1]-}" ] ||
        { echo "run.sh: no group '$1'; there are: ${names[*]}" >&2; exit 2; }
}
wanted=() unwanted=() marks='' within=''
while [ $# -gt 0 ]; do
    case $1 in
        --quick) wanted+=(default long) marks='not linux' ;;
        --all) for name in "${names[@]}"; do [ "$name" = $not_in_all ] || wanted+=("$name"); done ;;
        --group) require_group "${2-}"; wanted+=("$2"); shift ;;
        --without) require_group "${2-}"; unwanted+=("$2"); shift ;;
        --within) within=${2-}; [[ $within =~ ^[0-9]+$ ]] || usage; shift ;;
        --list)
            for name in "${names[@]}"; do
                printf '%-8s %3d min  %s\n' "$name" "${minutes[$name]}" "${what_of[$name]}"
            done
            exit ;;
        *) usage ;;
    esac
    shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=(default)
for index in "${!wanted[@]}"; do
    [[ " ${unwanted[*]} " != *" ${wanted[$index]} "* ]] || unset "wanted[$index]"
done
[ ${#wanted[@]} -gt 0 ] || { echo "run.sh: no group is left" >&2; exit 2; }
is_wanted() { [[ " ${wanted[*]} " == *" $1 "* ]]; }

passed=0 failed=0 skipped=0 downloading=0 left_out=() failures=()

finish() {
    [ ${#failures[@]} -eq 0 ] || printf '== failed: %s\n' "${failures[@]}"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# One step is one test; says how long it took.
step() {  # NAME COMMAND...
    local name=$1 start=$SECONDS
    shift
    printf '== %s\n' "$name"
    if "$@"; then
        passed=$((passed + 1))
        printf '== %s: ok, %d s\n' "$name" $((SECONDS - start))
    else
        failed=$((failed + 1)) failures+=("$name")
        printf '== %s: FAILED, %d s\n' "$name" $((SECONDS - start))
        return 1
    fi
}

# Prints a command's output, and keeps it in $said. Adds up its lines "ptmap: downloaded in N s".
hear() {  # COMMAND...
    local status=0 log seconds
    log=$(mktemp) || return
    "$@" 2>&1 | tee "$log" || status=$?
    said=$(cat "$log")
    rm -f "$log"
    for seconds in $(sed -n 's/^ptmap: downloaded in \([0-9]*\) s$/\1/p' <<<"$said"); do
        downloading=$((downloading + seconds))
    done
    return $status
}

# For a command that runs tests and counts them: its tests count, not the command.
count() {  # NAME SECONDS STATUS GOOD BAD LEFT NAME_OF_FAILED...
    local bad=$5 test
    # A command that fails without a failed test, or that runs no test, counts as failed.
    if [ "$bad" -eq 0 ] && { [ "$3" -ne 0 ] || [ "$4" -eq 0 ]; }; then bad=1; fi
    for test in "${@:7}"; do failures+=("$1: $test"); done
    [ "$bad" -eq 0 ] || [ $# -gt 6 ] || failures+=("$1")
    passed=$((passed + $4)) failed=$((failed + bad)) skipped=$((skipped + $6))
    printf '== %s: %d passed, %d failed, %d skipped, %d s\n' "$1" "$4" "$bad" "$6" "$2"
}

suite() {  # NAME COMMAND... (which writes $work/NAME.xml)
    local name=$1 start=$SECONDS status=0 results good bad left
    shift
    printf '== %s\n' "$name"
    "$@" || status=$?
    mapfile -t results < <(/usr/bin/python3 tests/count_results.py "$work/$name.xml")
    read -r good bad left <<<"${results[0]-0 0 0}"
    count "$name" $((SECONDS - start)) $status "$good" "$bad" "$left" "${results[@]:1}"
}

# As suite, for a command whose last line has the counts, after a line "== failed: TEST" for each
# failed test. Status 125: there is no root to run it in.
run() {  # NAME COMMAND...
    local name=$1 start=$SECONDS status=0 good bad left tests
    shift
    printf '== %s\n' "$name"
    hear "$@" || status=$?
    if [ $status -eq 125 ]; then
        printf '== %s: not run\n' "$name"  # the archive's fault, so not a failure
        return
    fi
    read -r good bad left < <(sed -nE \
        's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p' <<<"$said" | tail -n 1)
    mapfile -t tests < <(sed -n 's/^== failed: //p' <<<"$said")
    count "$name" $((SECONDS - start)) $status "${good:-0}" "${bad:-0}" "${left:-0}" "${tests[@]}"
}

python_files() { git ls-files '*.py'; git grep -l '^#!/usr/bin/python3' -- ':!*.py'; }

style() {
    git ls-files '*.cc' '*.h' | xargs clang-format --dry-run -Werror &&
        git ls-files '*.sh' .ci/run | xargs shellcheck -S warning &&
        python_files | xargs /usr/bin/python3 -m black --check --quiet &&
        python_files | xargs /usr/bin/python3 -m flake8 &&
        /usr/bin/python3 -m mypy -p ptmap &&
        /usr/bin/python3 -m mypy tests/harness tests/guests tests/house &&
        /usr/bin/python3 tests/support.py check
}

# In two lanes; tests that share a guest stay in one (tests/conftest.py).
tests() {  # GROUP
    suite "$1" /usr/bin/python3 -m pytest -q -n 2 --dist loadgroup --durations=5 -m "$marks" \
        --group "$1" --junitxml "$work/$1.xml"
}

group_default() {
    if [ "$codename" = $style_suite ]; then step 'style' style; fi
    step 'build with sanitizers' scripts/build.sh asan && suite 'native' tests/native/run.py \
        build/asan/tests/native/ptmap_native_tests "$work/native.xml"
    tests default
}
group_long() { tests long; }
group_guests() { tests guests; }
group_symbols() { tests symbols; }
group_boots() { tests boots; }
group_kernels() { tests kernels; }
group_vmcore() { tests vmcore; }
group_mutants() { run 'mutants' tests/mutants/run.py; }
group_roots() {
    for root in trixie sid; do run "in a root of $root" scripts/in-root.sh $root tests/run.sh; done
}
group_newest() {
    hear tests/guests/newest
    for root in trixie sid; do
        scripts/in-root.sh --refresh $root tests/run.sh || echo "== newest $root: not kept"
    done
}

total=0
for name in "${wanted[@]}"; do total=$((total + minutes[$name])); done
printf 'About %d minutes on two cores, and what downloads take: %s\n' \
    $((${within:-total} < total ? within : total)) "${wanted[*]}"

packages=(build qemu test)
[ "$codename" != $style_suite ] || packages+=(style)
[ -n "$marks" ] || packages+=(linux)
if is_wanted kernels || is_wanted mutants; then packages+=(kernel); fi
step 'packages' hear scripts/install-packages.sh "${packages[@]}" || finish
# Everything that this script starts ends with it, however it ends.
work=$(tests/harness/guard.py $$) || finish
export PTMAP_GUARDS=${PTMAP_GUARDS-}:$work
exec 9<"$work"
trap 'rm -rf "$work"' EXIT

needed='' planned=0  # kernels and minutes of the groups that will not be left out
for name in "${wanted[@]}"; do
    [ -n "$within" ] && [ $((planned + minutes[$name])) -gt "$within" ] && continue
    planned=$((planned + minutes[$name]))
    needed+=" ${kernels_of[$name]}"
done
read -ra kernels <<<"$needed"
linux=-
if [ -z "$marks" ] && [ ${#kernels[@]} -gt 0 ]; then
    step 'kernels' hear tests/guests/prepare "${kernels[@]}"
    linux=$(sed -nE 's/^ptmap: .* is .*_([0-9.]+)-.*/\1/p' <<<"$said" | sort -Vu | paste -sd' ')
fi

# A compiler cache for the builds here, in the roots and of the mutants.
export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=3G
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
[ "${wanted[*]}" = roots ] || step 'build' scripts/build.sh release || finish

began=$SECONDS ended=0 pace=100  # seconds; planned minutes of the ended groups; percent
for name in "${wanted[@]}"; do
    start=$SECONDS downloaded=$downloading bad=$failed
    [ $ended -eq 0 ] || pace=$(((SECONDS - began) * 100 / 60 / ended))
    [ $pace -ge 100 ] || pace=100
    if [ -n "$within" ] && [ $((SECONDS / 60 + minutes[$name] * pace / 100)) -gt "$within" ]; then
        left_out+=("$name")
        printf '== group %s: left out, it would end after %d minutes\n' "$name" "$within"
        continue
    fi
    printf '== group %s, about %d min\n' "$name" "${minutes[$name]}"
    "group_$name"
    ended=$((ended + minutes[$name]))
    [ -n "$marks" ] || [ "$failed" -gt "$bad" ] ||
        echo $(((SECONDS - start - downloading + downloaded + 59) / 60)) >"$took/$name"
done

label=${wanted[*]}
[ -z "$marks" ] || label=quick
/usr/bin/python3 tests/support.py report "$passed" "$failed" "$skipped" "$label" "$linux"
printf '== %d min %d s, of which downloads %d s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$downloading"
[ ${#left_out[@]} -eq 0 ] || printf '== not run: %s\n' "${left_out[*]}"
finish
