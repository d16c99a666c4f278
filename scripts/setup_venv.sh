#!/bin/sh
# Make .venv from a lock file: every package pinned and checked against its hash, then the project itself, editable.
# A second run with nothing changed does nothing.
# usage: scripts/setup_venv.sh demo|test
set -eu
cd "$(dirname "$0")/.."

purpose=${1:-}
case $purpose in
    demo | test) ;;
    *)
        echo "usage: $0 demo|test" >&2
        exit 2
        ;;
esac

python=$(scripts/find_python.sh)

# What the environment depends on. pyproject.toml is in it for the entry points and the version.
fingerprint() { # PURPOSE
    "$python" -c 'import hashlib, sys
print(hashlib.sha256(b"".join(open(p, "rb").read() for p in sys.argv[2:]) + sys.argv[1].encode()).hexdigest())' \
        "$PWD $("$python" -V)" requirements/build.txt "requirements/$1.txt" pyproject.toml
}
installed() { # PURPOSE
    [ -x .venv/bin/edge ] && [ "$(cat ".venv/.installed-$1" 2>/dev/null)" = "$(fingerprint "$1")" ]
}

# The test set contains the demo set, pin for pin.
if installed "$purpose" || { [ "$purpose" = demo ] && installed test; }; then
    exit 0
fi

echo "setup: Python environment .venv ($purpose)"
rm -f .venv/.installed-*
[ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null || "$python" -m venv --clear .venv
# pip shows its progress on a terminal; elsewhere (CI) one line a step is enough.
[ -t 1 ] && quiet= || quiet=--quiet
pip() { .venv/bin/python -m pip $quiet --disable-pip-version-check --no-input "$@"; }
step() { echo "setup: $1"; }
# Source packages are built with the pinned build tools, not with whatever is newest that day.
step "build tools"
pip install --require-hashes -r requirements/build.txt
step "dependencies, about 300 MB"
pip install --require-hashes --no-build-isolation -r "requirements/$purpose.txt"
step "the project itself"
pip install --no-deps --no-build-isolation --editable .
step "compiling the kernels, about 20 s (minutes on a small board)"
.venv/bin/edge warmup >/dev/null 2>&1 || step "the kernels could not be compiled now; edge warmup says why"
fingerprint "$purpose" >".venv/.installed-$purpose"
