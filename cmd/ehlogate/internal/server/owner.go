package server

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
)

// findListener returns a process that listens on addr, and the name of its program; 0 if there is none, or if this process
// may not see it.
func findListener(addr string) (name string, pid int) {
	if strings.Contains(addr, "/") {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: addr, Net: "unix"})
		if err != nil {
			return "", 0
		}
		defer c.Close()
		if pid, err = listenerPID(c); err != nil {
			return "", 0
		}
	} else if pid = tcpListenerPID(addr); pid == 0 {
		return "", 0
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(comm)), pid
}

// tcpListenerPID returns a process that listens on addr, 0 if none is seen.
func tcpListenerPID(addr string) int {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	sockets := listenSockets(proc, addr)
	if len(sockets) == 0 {
		return 0
	}
	all, _ := proc.AllProcs()
	for _, p := range all {
		files, _ := p.FileDescriptorTargets() // those of other users are not seen
		if slices.ContainsFunc(files, func(f string) bool { return slices.Contains(sockets, f) }) {
			return p.PID
		}
	}
	return 0
}

// hasListener reports whether a process listens on addr, which this one may not be allowed to see.
func hasListener(addr string) bool {
	proc, err := procfs.NewDefaultFS()
	return err == nil && !strings.Contains(addr, "/") && len(listenSockets(proc, addr)) > 0
}

// listenSockets returns the sockets that keep this process from listening on addr, as /proc/PID/fd has them.
func listenSockets(proc procfs.FS, addr string) (out []string) {
	host, port, _ := net.SplitHostPort(addr)
	want, _ := netip.ParseAddr(host)
	//lint:ignore SA1019 what it names instead is a socket to the kernel, and leaves the parsing to the caller
	v4, _ := proc.NetTCP()
	//lint:ignore SA1019 as above
	v6, _ := proc.NetTCP6() // fails without IPv6
	for _, s := range append(v4, v6...) {
		const listening = 0x0A
		at, ok := netip.AddrFromSlice(s.LocalAddr)
		if ok && s.St == listening && fmt.Sprint(s.LocalPort) == port && overlaps(at, want) {
			out = append(out, fmt.Sprintf("socket:[%d]", s.Inode))
		}
	}
	return out
}

// overlaps reports whether one socket at each of these addresses is too many. The zero Addr is every address.
func overlaps(at, want netip.Addr) bool {
	at, want = at.Unmap(), want.Unmap()
	if !want.IsValid() || !at.IsValid() {
		return true
	}
	return at.Is4() == want.Is4() && (at == want || at.IsUnspecified() || want.IsUnspecified())
}
