#!/bin/sh
# Add torch to .venv for training and its tests, after scripts/setup_venv.sh test.
# torch is the one package outside the lock files: its builds (CPU, CUDA) carry one version number but different hashes
# and come from different places, and the choice is the user's. A torch that is already there is kept.
set -eu
cd "$(dirname "$0")/.."

version=2.13.0
[ -t 1 ] && quiet= || quiet=--quiet
pip() { .venv/bin/python -m pip $quiet --disable-pip-version-check --no-input "$@"; }

.venv/bin/python -c 'import torch' 2>/dev/null && exit 0
echo "setup: torch $version (a CPU build if pip is told where to find one, see docs/development.md)"
pip install --require-hashes -r requirements/train.txt
pip install "torch==$version"
.venv/bin/python -c 'import torch; print("setup: torch", torch.__version__)'
