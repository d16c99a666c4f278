#!/bin/sh
# Build the disk of the device VM: Debian with its stock kernel (snd-aloop in it), systemd, ALSA, mosquitto, and the pinned
# Python packages of requirements/runtime.txt where systemd/install.sh expects them. Installs what it needs on this
# machine (apt, sudo when not root). Does nothing when the image is newer than what it is made of.
# usage: tests/vm/build_image.sh        result: build/vm/{disk.ext4,vmlinuz,initrd.img}
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin

say() { echo "vm: $1"; }
die() { echo "vm: $1" >&2; exit 1; }

folder=$PWD/build/vm
fingerprint=$(cat tests/vm/build_image.sh requirements/build.txt requirements/runtime.txt | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$folder/fingerprint" 2>/dev/null)" = "$fingerprint" ]; then
    exit 0
fi

[ "$(uname -m)" = x86_64 ] || die "the VM is an x86-64 one and so has to be its host"
[ -x .venv/bin/python ] || die "there is no .venv; run: make setup"
if [ "$(id -u)" -eq 0 ]; then root=env; else root="sudo env"; fi
missing=
for package in qemu-system-x86 mmdebstrap e2fsprogs debian-archive-keyring; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    say "Debian packages missing:$missing"
    $root DEBIAN_FRONTEND=noninteractive apt-get -q -y update </dev/null
    # shellcheck disable=SC2086
    $root DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends --no-remove $missing </dev/null
fi

# The packages come from wherever this machine's own come from.
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian')
[ -n "$sources" ] || die "apt knows no Debian archive here; the image is made from the host's own"
suite=$(echo "$sources" | awk 'NR == 1 { print $3 }')

mkdir -p "$folder/wheels"
work=$(mktemp -d "$folder/work.XXXXXX")
trap '$root rm -rf "$work"' EXIT INT TERM

say "Python packages, pinned"
for list in build runtime; do
    .venv/bin/python -m pip --disable-pip-version-check --no-input download -qq --require-hashes \
        --no-build-isolation --dest "$folder/wheels" -r "requirements/$list.txt"
done

# Everything else that a case is comes in over the shared folder, so that the image only changes with its packages.
cat >"$work/vm-case.service" <<'UNIT'
[Unit]
Description=Case of the device VM
Wants=network.target
After=network.target mosquitto.service
[Service]
Type=exec
ExecStartPre=/bin/mkdir -p /mnt/checkout
ExecStartPre=/bin/mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=loose checkout /mnt/checkout
ExecStart=/bin/sh /mnt/checkout/tests/vm/guest.sh
StandardOutput=journal+console
StandardError=journal+console
TimeoutStopSec=5
[Install]
WantedBy=multi-user.target
UNIT
cat >"$work/customize.sh" <<'CUSTOMIZE'
# root of the image as $1
set -eu
install -m 644 "$VM_WORK/vm-case.service" "$1/etc/systemd/system/"
mkdir -p "$1/tmp/wheels"
cp "$VM_WHEELS"/* "$1/tmp/wheels"
cp requirements/build.txt requirements/runtime.txt "$1/tmp"
# as systemd/install.sh does it
chroot "$1" sh -eu <<'INSIDE'
python3 -m venv /opt/mic-edge
pip() { /opt/mic-edge/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-index \
    --find-links /tmp/wheels --require-hashes "$@"; }
pip -r /tmp/build.txt
pip --no-build-isolation -r /tmp/runtime.txt
systemctl enable vm-case.service
systemctl disable mosquitto.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer || true
rm -rf /tmp/wheels /tmp/build.txt /tmp/runtime.txt
INSIDE
echo device >"$1/etc/hostname"
echo '127.0.0.1 localhost device' >"$1/etc/hosts"
echo '/dev/vda / ext4 noatime 0 1' >"$1/etc/fstab"
cp "$1"/boot/vmlinuz-* "$VM_WORK/vmlinuz"
cp "$1"/boot/initrd.img-* "$VM_WORK/initrd.img"
CUSTOMIZE

say "Debian $suite"
# What the installer looks for, a kernel, and what the cases need. A small initial RAM disk boots sooner.
packages=systemd-sysv,dbus,udev,kmod,procps,linux-image-amd64,initramfs-tools,zstd,alsa-utils,libasound2-plugins
packages=$packages,mosquitto,mosquitto-clients,python3,python3-venv,python3-dev,gcc,libc6-dev,libasound2-dev
packages=$packages,libportaudio2,libgomp1
echo "$sources" | $root VM_WORK="$work" VM_WHEELS="$folder/wheels" mmdebstrap --quiet --variant=minbase \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; echo MODULES=list >"$1/etc/initramfs-tools/conf.d/vm";
        printf "virtio_pci\nvirtio_blk\next4\n" >"$1/etc/initramfs-tools/modules"' \
    --customize-hook='sh "$VM_WORK/customize.sh" "$1"' \
    "$suite" "$work/root" -

say "disk"
rm -f "$folder/disk.ext4"
$root mke2fs -q -t ext4 -d "$work/root" "$folder/disk.ext4" 4G
$root chown "$(id -u):$(id -g)" "$folder/disk.ext4" "$work/vmlinuz" "$work/initrd.img"
mv "$work/vmlinuz" "$work/initrd.img" "$folder/"
echo "$fingerprint" >"$folder/fingerprint"
say "image ready ($(du -h "$folder/disk.ext4" | cut -f 1))"
