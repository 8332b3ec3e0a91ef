package server

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	inodes := listenInodes(addr)
	if len(inodes) == 0 {
		return 0
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && inodes[target] {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err == nil {
				return pid
			}
		}
	}
	return 0
}

// listenInodes returns the sockets that keep this process from listening on addr, as /proc/PID/fd has them.
func listenInodes(addr string) map[string]bool {
	host, port, err := net.SplitHostPort(addr)
	number, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return nil
	}
	want, _ := netip.ParseAddr(host)
	inodes := make(map[string]bool)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(table) {
			const local, state, inode = 1, 3, 9
			const listening = "0A"
			f := strings.Fields(string(line))
			if len(f) <= inode || f[state] != listening {
				continue
			}
			at, ok := parseProcAddr(f[local])
			if ok && uint64(at.Port()) == number && overlaps(at.Addr(), want) {
				inodes["socket:["+f[inode]+"]"] = true
			}
		}
	}
	return inodes
}

// overlaps reports whether one socket at each of these addresses is too many. The zero Addr is every address.
func overlaps(at, want netip.Addr) bool {
	at, want = at.Unmap(), want.Unmap()
	if !want.IsValid() {
		return true
	}
	return at.Is4() == want.Is4() && (at == want || at.IsUnspecified() || want.IsUnspecified())
}

// parseProcAddr parses an address of /proc/net/tcp: words of 32 bits in the order of the machine, and a port.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(number)), ok
}
