#!/bin/sh
# Install the Debian packages that the demo or the tests need, and only those that are missing.
# usage: scripts/setup_system.sh demo|test
set -eu

purpose=${1:-}
case $purpose in
    demo | test) ;;
    *)
        echo "usage: $0 demo|test" >&2
        exit 2
        ;;
esac

have() { command -v "$1" >/dev/null 2>&1; }
python_can() { have python3 && python3 -c "$1" >/dev/null 2>&1; }
has_library() { python_can "import ctypes.util, sys; sys.exit(not ctypes.util.find_library('$1'))"; }
compiles() { have gcc && printf '#include <%s>\n' "$1" | gcc -E -x c - >/dev/null 2>&1; }
has_package() { have dpkg-query && dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# Each need is looked for by what it gives, so a Python or a compiler that did not come from Debian counts too.
missing=
need() { missing="$missing $1"; }
have python3 || need python3
python_can 'import ensurepip, venv' || need python3-venv
python_can 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' || need python3-dev
have gcc || need gcc
compiles stdio.h || need libc6-dev
compiles alsa/asoundlib.h || need libasound2-dev
has_library portaudio || need libportaudio2
has_library gomp || need libgomp1
have arecord || need alsa-utils
has_package libasound2-plugins || need libasound2-plugins
if [ "$purpose" = test ]; then
    PATH=$PATH:/usr/sbin:/sbin
    have pulseaudio || need pulseaudio
    have mosquitto || need mosquitto
    have openssl || need openssl
    have systemd-analyze || need systemd
fi
[ -n "$missing" ] || exit 0

echo "setup: Debian packages missing:$missing"
if ! have apt-get; then
    echo "setup: there is no apt-get here; install what gives the same, then run this again" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    root=env
elif ! have sudo; then
    echo "setup: needs root; install them as root with: apt-get install$missing" >&2
    exit 1
elif [ -t 0 ]; then
    root="sudo env"
else
    root="sudo -n env"
fi
apt() { $root DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" </dev/null; }

apt update || echo "setup: the package lists could not be renewed; trying with those already here" >&2
# --no-remove: a desktop's own sound server is never replaced for the sake of a test.
# shellcheck disable=SC2086
apt install --no-install-recommends --no-remove $missing
