#!/bin/sh
# Print a Python that the project runs on: $PYTHON, python3, or python3.13 to python3.10, 64 bits. One sentence if none.
set -eu

python=
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: no Python 3.10 to 3.13 found (set PYTHON to one)" >&2
    exit 1
fi
if ! "$python" -c 'import struct, sys; sys.exit(struct.calcsize("P") != 8)'; then
    echo "setup: onnxruntime and numba have no 32-bit packages; install the 64-bit system (Raspberry Pi OS 64-bit)" >&2
    exit 1
fi
command -v "$python"
