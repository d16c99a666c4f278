# First thing inside the VM, as root, by vm-case.service: runs the case that the kernel's command line names, leaves log,
# journal and exit status for run.sh, powers off.
mkdir -p /mnt/out
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 out /mnt/out
case=$(sed -n 's/.*vm_case=\([a-z_]*\).*/\1/p' /proc/cmdline)
checkout=$(sed -n 's/.*vm_checkout=\([^ ]*\).*/\1/p' /proc/cmdline)
mkdir -p "$checkout"
mount --bind /mnt/checkout "$checkout"
cd "$checkout"
sh -eu "tests/vm/cases/$case.sh" >/mnt/out/log.txt 2>&1
echo $? >/mnt/out/status
journalctl --boot --no-pager --output short-precise >/mnt/out/journal.txt
sync
systemctl --force poweroff
