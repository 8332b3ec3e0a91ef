package mtatest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ehlogate/lists/test/testenv"
)

// systemd is where Debian keeps it.
const systemd = "/lib/systemd/systemd"

const machinePath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

// bootScript makes the machine's root and becomes its process 1; it runs in its namespaces. Nothing of it is seen outside.
const bootScript = `
mount --make-rprivate /
seed=$1/seed
mkdir -p $1/root
mount -t tmpfs -o mode=0755 mtatest $1/root
cd $1/root
mkdir upper work root
cp -r $seed .
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work mtatest root
seed=$PWD/seed
# Other file systems are not in that view. Go and what it keeps may be on one (.ci/within).
system=$2
shift 2
for d; do
	[ -d $d ] || continue
	mkdir -p go$d/upper go$d/work root$d
	mount -t overlay -o lowerdir=$d,upperdir=go$d/upper,workdir=go$d/work mtatest root$d
done
cd root

# Of what this machine has enabled or set, nothing: what is started is named in the seed. And nothing of what is tested.
rm -rf etc/systemd usr/local/lib/systemd lib/systemd/system/*.wants lib/systemd/system/*.requires
rm -f etc/fstab usr/sbin/policy-rc.d
for f in lib/systemd/system-generators/*; do
	case $f in */postfix-*) ;; *) rm -f $f ;; esac
done
rm -rf etc/ehlogate usr/bin/ehlogate usr/local/bin/ehlogate lib/systemd/system/ehlogate* var/lib/systemd \
	var/spool/postfix/ehlogate
sed -i '/^ehlogate:/d' etc/passwd etc/group etc/shadow etc/gshadow
rm -f etc/resolv.conf
cp -r $seed/. .

for d in run tmp; do mount -t tmpfs -o mode=1777 mtatest $d; done
chmod 0755 run
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for d in proc/sys proc/sysrq-trigger; do
	[ -e $d ] || continue
	mount --bind $d $d
	mount -o remount,bind,ro $d
done
mount -o remount,bind,ro sys
mount -t tmpfs -o mode=0755 mtatest dev
mkdir dev/pts dev/shm
for d in null zero full random urandom tty; do
	touch dev/$d
	mount --bind /dev/$d dev/$d
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 mtatest dev/shm
ln -s /proc/self/fd dev/fd
for i in 0:stdin 1:stdout 2:stderr; do ln -s fd/${i%%:*} dev/${i#*:}; done
pivot_root . .
umount -l .
exec $system --system --unit=multi-user.target --log-target=journal-or-kmsg --show-status=no
`

// machineFiles are laid over this machine's in every machine.
var machineFiles = map[string]string{
	"etc/machine-id":  "5e1f0e0d5e1f0e0d5e1f0e0d5e1f0e0d\n",
	"etc/hostname":    hostName + "\n",
	"etc/hosts":       "127.0.0.1 localhost " + hostName + "\n::1 localhost\n",
	"etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", // no server there, which shows at once
	"etc/fstab":       "",
	"etc/systemd/system/sysinit.target.d/mtatest.conf": "[Unit]\nWants=systemd-journald.service\n" +
		"Wants=systemd-journald.socket systemd-journald-dev-log.socket\n",
	"etc/systemd/journald.conf": "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n",
}

// cgroupRoot returns where this machine has its cgroup2 hierarchy: with old ("hybrid") cgroups one beside them, without
// controllers, which is enough to know what belongs to which service.
func cgroupRoot() (string, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("looking for cgroups: %w", err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if i := slices.Index(fields, "-"); i > 4 && fields[i+1] == "cgroup2" {
			return fields[4], nil
		}
	}
	return "", errors.New("a machine needs cgroup2, and none is mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified)")
}

// removeCgroup removes a cgroup and all below it, as soon as the processes that have ended are forgotten there.
func removeCgroup(ctx context.Context, path string) error {
	err := testenv.Await(ctx, func() (bool, error) {
		var dirs []string
		err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		for _, dir := range slices.Backward(dirs) {
			switch err := syscall.Rmdir(dir); {
			case errors.Is(err, syscall.EBUSY):
				return false, nil
			case err != nil && !errors.Is(err, syscall.ENOENT):
				return false, fmt.Errorf("%s: %w", dir, err)
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("removing the cgroup: %w", err)
	}
	return nil
}
