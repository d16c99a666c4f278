#!/bin/sh
# Make the lock files again: every pin with its hashes, for all platforms and Python 3.10 to 3.13.
# The test set is resolved first and is the constraint of the others, so that all sets fit into one environment.
set -eu
cd "$(dirname "$0")/.."

if [ -x .venv/bin/uv ]; then uv=.venv/bin/uv
elif command -v uv >/dev/null 2>&1; then uv=uv
else
    echo "lock: needs uv; install it with: .venv/bin/pip install uv" >&2
    exit 1
fi

lock() { # OUTPUT ARGUMENTS...
    output=$1
    shift
    echo "lock: $output"
    "$uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --output-file "$output" "$@"
}

lock requirements/test.txt "$@" --extra development pyproject.toml requirements/build.in
lock requirements/build.txt "$@" --constraints requirements/test.txt requirements/build.in
lock requirements/runtime.txt "$@" --constraints requirements/test.txt pyproject.toml
lock requirements/demo.txt "$@" --constraints requirements/test.txt --extra demo pyproject.toml
lock requirements/train.txt "$@" --constraints requirements/test.txt requirements/train.in

if grep -n '://' requirements/*.txt; then
    echo "lock: an address got into a lock file" >&2
    exit 1
fi
