#!/bin/sh
# Install the runtime as a systemd service, from a checkout: programs to /opt/mic-edge, configuration to /etc/mic-edge.
# Run again to update; the configuration is never overwritten. With DESTDIR set, files are laid below it for an image:
# no virtual environment is made and no service is touched.
set -eu
cd "$(dirname "$0")/.."

usage() {
    cat <<'END'
usage: systemd/install.sh [--board NAME] [--no-start]
       systemd/install.sh --uninstall
  --board NAME   write a first configuration for this array (firmware_config/boards), if there is none yet
  --no-start     install, but neither enable nor start the service
  --uninstall    stop and remove service and programs; /etc/mic-edge stays
END
}

destination=${DESTDIR:-}
prefix=/opt/mic-edge
board=
start=yes
action=install
while [ $# -gt 0 ]; do
    case $1 in
        --board)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            board=$2
            shift
            ;;
        --no-start) start=no ;;
        --uninstall) action=uninstall ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

if [ -z "$destination" ] && [ "$(id -u)" -ne 0 ]; then
    echo "install: needs root; run: sudo $0" >&2
    exit 1
fi

boards() { for file in firmware_config/boards/*.toml; do basename "$file" .toml; done | tr '\n' ' '; }
running() { [ -z "$destination" ] && [ -d /run/systemd/system ]; }
put() { # SOURCE TARGET
    install -D -m 644 "$1" "$destination$2"
    echo "install: $destination$2"
}

remove_unless_changed() { # SOURCE TARGET
    if cmp -s "$1" "$destination$2"; then
        rm -f "$destination$2"
    elif [ -e "$destination$2" ]; then
        echo "install: $destination$2 was changed and stays"
    fi
}

if [ "$action" = uninstall ]; then
    if running; then systemctl disable --now edge.service || true; fi
    rm -f "$destination/etc/systemd/system/edge.service"
    remove_unless_changed firmware_config/modules-load.d/edge-aloop.conf /etc/modules-load.d/edge-aloop.conf
    remove_unless_changed firmware_config/modprobe.d/edge-aloop.conf /etc/modprobe.d/edge-aloop.conf
    rm -rf "$destination$prefix" "$destination/usr/local/share/doc/mic-edge" "$destination/var/cache/private/mic-edge"
    if running; then systemctl daemon-reload; fi
    echo "install: removed; the configuration stays in $destination/etc/mic-edge"
    exit 0
fi

configuration=$destination/etc/mic-edge/edge.toml
if [ -n "$board" ] && [ ! -f "firmware_config/boards/$board.toml" ]; then
    echo "install: no board $board; there are: $(boards)" >&2
    exit 2
fi
if [ ! -e "$configuration" ] && [ -z "$board" ]; then
    echo "install: there is no $configuration yet; write one, or say --board with one of: $(boards)" >&2
    exit 2
fi

if [ -z "$destination" ]; then
    scripts/setup_system.sh demo
    python=$(scripts/find_python.sh)
    echo "install: virtual environment $prefix"
    # one made with another Python, or broken by an update of the system, is made again
    if [ "$("$prefix/bin/python" -V 2>/dev/null)" != "$("$python" -V)" ]; then "$python" -m venv --clear "$prefix"; fi
    pip() { "$prefix/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
    pip install --quiet --require-hashes -r requirements/build.txt
    pip install --quiet --require-hashes --no-build-isolation -r requirements/runtime.txt
    pip install --quiet --no-deps --no-build-isolation --force-reinstall .
fi

if [ ! -e "$configuration" ]; then
    mkdir -p "$(dirname "$configuration")"
    printf '# Every key: docs/configuration.md. After a change: edge check FILE, then systemctl reload edge.\n' >"$configuration"
    printf '[array]\nboard = "%s"\n' "$board" >>"$configuration"
    chmod 644 "$configuration"
    echo "install: $configuration"
fi
[ -z "$destination" ] && "$prefix/bin/edge" check /etc/mic-edge/edge.toml

put systemd/edge.service /etc/systemd/system/edge.service
# timer_source in it is yours to set
[ -e "$destination/etc/modprobe.d/edge-aloop.conf" ] ||
    put firmware_config/modprobe.d/edge-aloop.conf /etc/modprobe.d/edge-aloop.conf
put firmware_config/modules-load.d/edge-aloop.conf /etc/modules-load.d/edge-aloop.conf
put docs/service.md /usr/local/share/doc/mic-edge/service.md

if running; then
    systemctl daemon-reload
    modprobe snd-aloop || echo "install: snd-aloop did not load; see edge loopback" >&2
    if [ "$start" = yes ]; then
        systemctl enable edge.service
        systemctl restart edge.service
        systemctl --no-pager --lines 5 status edge.service
    fi
fi
