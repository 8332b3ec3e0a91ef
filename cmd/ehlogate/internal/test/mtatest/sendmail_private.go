package mtatest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// unpacked is where .ci/deps puts the mail servers that cannot be installed beside Postfix.
const unpacked = "/var/cache/ehlogate-test"

// unpackedProgram returns the path of a program below unpacked. It fails if it is not there (the error says what to do),
// or if the caller is not root.
func unpackedProgram(path string) (string, error) {
	path = filepath.Join(unpacked, path)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is needed (run .ci/deps): %w", filepath.Base(path), err)
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%s can be started by root only", filepath.Base(path))
	}
	return path, nil
}

// private is the view that a server has of the machine: the machine's own files, but names, resolver and libraries as they
// stand in dir. Sendmail asks for all three before it reads its configuration, waits a minute if the machine's name has no
// dot, and drops LD_LIBRARY_PATH when it starts itself anew; so they cannot be given to it in any simpler way.
type private struct{ dir string }

// newPrivate writes the files of the view. hosts is in the format of hosts(5): the first line of a name is its address,
// and what an address is called may differ from it. Only the libraries of the named server are added to the machine's. etc has
// more files of /etc, by name.
func newPrivate(dir, server, hosts string, etc map[string]string) (private, error) {
	v := private{dir}
	libs := filepath.Join(unpacked, server, "usr/lib/x86_64-linux-gnu")
	err := writeFiles(dir, map[string]string{
		"hosts":       fmt.Sprintf("127.0.0.1 localhost\n127.0.0.1 %[1]s\n::1 %[1]s\n%s", hostName, hosts),
		"host.conf":   "multi off\n",
		"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", // no server there, which shows at once
		"ld.so.conf":  libs + "\ninclude /etc/ld.so.conf\n",
	})
	for name, text := range etc {
		path := filepath.Join(dir, "etc", name)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	if err != nil {
		return v, err
	}
	out, err := exec.Command("/sbin/ldconfig", "-X", "-f", filepath.Join(dir, "ld.so.conf"), "-C", filepath.Join(dir, "ld.so.cache")).CombinedOutput()
	if err != nil {
		return v, fmt.Errorf("listing the libraries of %s: %w\n%s", server, err, out)
	}
	return v, nil
}

// enter lays the files of the view over the machine's, and a /dev with the view's log if it has one. It runs in namespaces of
// its own, which end with the server.
const enter = `if [ -d "$1/etc" ]; then
	[ -d "$1/whole" ] || { cp -a /etc "$1/new" && cp -r "$1/etc/." "$1/new" && mv "$1/new" "$1/whole"; } || exit
	mount --bind "$1/whole" /etc || exit
fi
for f in hosts host.conf resolv.conf ld.so.cache; do mount --bind "$1/$f" "/etc/$f" || exit; done
if [ -S "$1/log" ]; then
	mkdir -p "$1/dev" && mount -t tmpfs dev "$1/dev" && ln -s "$1/log" "$1/dev/log" || exit
	for f in null zero random urandom; do : >"$1/dev/$f" && mount --bind "/dev/$f" "$1/dev/$f" || exit; done
	mount --rbind "$1/dev" /dev || exit
fi
hostname "$2" && shift 2 && exec "$@"`

// start starts a program that has the view, in a network (nil: ours); its output goes to the end of log.
func (v private) start(network *netns.Namespace, log *Log, path string, args ...string) (c *child, err error) {
	out, err := os.OpenFile(log.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", path, err)
	}
	defer out.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", enter, "sh", v.dir, hostName, path}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttr(syscall.SIGTERM)
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS
	err = within(network, func() (err error) {
		c, err = startChild(cmd)
		return err
	})
	if errors.Is(err, syscall.EPERM) {
		err = fmt.Errorf("a mount namespace of its own is needed (CAP_SYS_ADMIN): %w", err)
	}
	return c, err
}

// writeScript writes a script that runs a program in the view, with the programs in dir before those of the machine.
func (v private) writeScript(dir, path string) (name string, err error) {
	text := fmt.Sprintf("#!/bin/sh\nexport PATH='%s':$PATH\nexec unshare --mount --uts /bin/sh -c '%s' sh '%s' '%s' '%s' \"$@\"\n", dir, enter, v.dir, hostName, path)
	if err := writeFiles(v.dir, map[string]string{"run.text": text}); err != nil {
		return "", err
	}
	name = filepath.Join(v.dir, "run")
	// A process that is started while this one has the file open for writing would keep it from being executed.
	if out, err := exec.Command("install", "-m", "0755", name+".text", name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("writing %s: %w\n%s", name, err, out)
	}
	return name, nil
}
