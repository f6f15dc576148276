#!/bin/sh
# Make a virtual environment from exact pins, once: tools/setup.sh DIRECTORY REQUIREMENTS [REQUIREMENTS_ALONE]
# What the second file lists is installed alone, without what it depends on.
# It counts as made only when everything is installed; half of one is thrown away and made anew.
set -u
venv=$1
requirements=$2
alone=${3:-}

fail() {
    echo "make: $1" >&2
    exit 1
}

key=$(cat "$requirements" ${alone:+"$alone"} | cksum)
[ "$(cat "$venv/ready" 2>/dev/null)" = "$key" ] && "$venv/bin/python" -c '' 2>/dev/null && exit 0

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no Python 3.11, 3.12 or 3.13 with its venv module found ($(python3 --version 2>&1 || true)); install one, or name it with 'make PYTHON=/path/to/python ...'."

echo "make: installing $requirements into $venv (a few minutes, once)"
rm -rf "$venv"
log=$venv/install.log
"$python" -m venv "$venv" || fail "$python could not make the virtual environment $venv; is the disk full?"
# Python compiles what it imports, once; pip would compile everything, most of it for nothing.
if ! "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile -r "$requirements" >"$log" 2>&1 ||
    { [ -n "$alone" ] && ! "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile --no-deps -r "$alone" >>"$log" 2>&1; } ||
    ! "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps -e . >>"$log" 2>&1; then
    fail "$requirements could not be installed: $(grep -i error "$log" | tail -n 1) The whole log is $log; run make again when the cause is gone."
fi
echo "$key" >"$venv/ready"
