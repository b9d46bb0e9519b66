#!/usr/bin/env bash
# run.sh: every test, from a fresh clone, in one command.
#
#   tests/run.sh           all of it
#   tests/run.sh --quick   without what boots a real Linux kernel, and without the mutants
#
# Installs what is missing (as root or by sudo, and says what), builds, checks formats and types,
# runs the native tests under sanitizers and the tests in GDB on real QEMUs, and shows that each
# mutant is noticed (tests/mutants). The last line is "N passed, N failed". Kernels are kept in
# ~/.cache/ptmap (PTMAP_CACHE); two of them are built there, once, in some ten minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

case ${1-} in
    '') groups=(build qemu test linux kernel); marks='' ;;
    --quick) groups=(build qemu test); marks='not linux' ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0 failed=0

# Runs one step as one test, and says how long it took.
step() {  # NAME COMMAND...
    local name=$1 start=$SECONDS
    shift
    printf '== %s\n' "$name"
    if "$@"; then
        passed=$((passed + 1))
        printf '== %s: ok, %d s\n' "$name" $((SECONDS - start))
    else
        failed=$((failed + 1))
        printf '== %s: FAILED, %d s\n' "$name" $((SECONDS - start))
        return 1
    fi
}

finish() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# A step that runs tests of its own and writes a JUnit file: they count, not the step.
suite() {  # NAME COMMAND... (which writes $results/NAME.xml)
    local name=$1 start=$SECONDS status=0 counted
    shift
    printf '== %s\n' "$name"
    "$@" || status=$?
    counted=$(/usr/bin/python3 tests/count_results.py "$results/$name.xml") || counted='0 0'
    read -r good bad <<<"$counted"
    # A suite that failed without a failed test, or ran none, has still failed.
    if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; }; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad))
    printf '== %s: %d passed, %d failed, %d s\n' "$name" "$good" "$bad" $((SECONDS - start))
}

build() {  # PRESET
    cmake --preset "$1" >"$results/log" && cmake --build --preset "$1" >>"$results/log" && return
    cat "$results/log"
    return 1
}

formats() {
    git ls-files '*.cc' '*.h' | xargs clang-format --dry-run -Werror
}

scripts() {
    git ls-files '*.sh' .ci/run | xargs shellcheck -S warning
}

python() {
    git ls-files '*.py' tests/guests/boot | xargs /usr/bin/python3 -m flake8 &&
        /usr/bin/python3 -m mypy -p ptmap && /usr/bin/python3 -m mypy tests/harness tests/guests
}

step 'packages' scripts/install-packages.sh "${groups[@]}" || finish
step 'build' build release || finish
step 'build with sanitizers' build asan || finish
step 'C++ format' formats
step 'shell scripts' scripts
step 'Python style and types' python
suite 'native' ctest --preset asan --output-junit "$results/native.xml" -j 2
# In two lanes: what shares a guest stays in one (tests/conftest.py).
suite 'pytest' /usr/bin/python3 -m pytest -q -n 2 --dist loadgroup --durations=5 -m "$marks" \
    --junitxml "$results/pytest.xml"
[ -n "$marks" ] || step 'mutants' tests/mutants/run.py
finish
