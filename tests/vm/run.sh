#!/bin/sh
# Run a case inside the device VM: boots under QEMU's software emulation, runs tests/vm/cases/CASE.sh as root with the
# working tree in /mnt/checkout, and powers off. The disk stays as it was built. Log, journal and what the case leaves in
# /mnt/out end up in build/vm/CASE/. Exit status: that of the case, 124 when the time was up.
# usage: tests/vm/run.sh CASE [SECONDS]
set -eu
cd "$(dirname "$0")/../.."

case=${1:-}
limit_s=${2:-1500}
if [ ! -f "tests/vm/cases/$case.sh" ]; then
    echo "usage: $0 CASE [SECONDS]; cases: $(basename -s .sh tests/vm/cases/*.sh | tr '\n' ' ')" >&2
    exit 2
fi
tests/vm/build_image.sh

image=$PWD/build/vm
out=$image/$case
rm -rf "$out"
mkdir -p "$out/out" "$out/checkout"
# what git would commit, and no more: a checkout has a virtual environment that is none of the device's business
git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from - --ignore-failed-read | tar --extract --directory "$out/checkout"

# The kernels, compiled here in seconds and there in minutes. numba finds them again where path, time and processor are the
# same, and so the guest mounts the working tree under its name here. With another Python than the guest's it compiles.
(cd "$out/checkout" && NUMBA_CPU_NAME=x86-64 NUMBA_CPU_FEATURES= NUMBA_CACHE_DIR=$out/out/numba PYTHONDONTWRITEBYTECODE=1 \
    "$OLDPWD/.venv/bin/python" -c 'from edge.runtime.kernels import load_kernels; print("vm: kernels", load_kernels())')

echo "vm: case $case, at most $limit_s s"
# icount: time inside goes by instructions, one a nanosecond, not by this machine's clock. So the device is as fast as a
# small board however slow the emulation is: the hops of 8 ms have their 8 ms.
# -la57: five-level page tables are slow to emulate and no device has them.
set +e
timeout --kill-after 10 "$limit_s" qemu-system-x86_64 -accel tcg,thread=single -icount shift=0 -rtc clock=vm \
    -cpu max,-la57 -m 2048 \
    -display none -monitor none -no-reboot -serial "file:$out/console.txt" -nic none \
    -kernel "$image/vmlinuz" -initrd "$image/initrd.img" \
    -append "root=/dev/vda rw console=ttyS0 quiet vm_case=$case vm_checkout=$out/checkout" \
    -drive "file=$image/disk.ext4,format=raw,if=virtio,snapshot=on" \
    -virtfs "local,path=$out/checkout,mount_tag=checkout,security_model=none" \
    -virtfs "local,path=$out/out,mount_tag=out,security_model=none" \
    -object rng-random,filename=/dev/urandom,id=rng -device virtio-rng-pci,rng=rng
ended=$?
set -e
cat "$out/out/log.txt" 2>/dev/null || tail -n 40 "$out/console.txt"
if [ -f "$out/out/status" ]; then
    status=$(cat "$out/out/status")
elif [ "$ended" -eq 124 ]; then
    echo "vm: $case was not done within $limit_s s"
    status=124
else
    echo "vm: $case never got to its end (QEMU exited with $ended); see $out/console.txt"
    status=1
fi
echo "vm: case $case: $([ "$status" = 0 ] && echo passed || echo "FAILED ($status)"), files in $out"
exit "$status"
