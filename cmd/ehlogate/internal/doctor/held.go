package doctor

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// heldBy tells whether process pid has the socket that listens at an address:
// if it is the service manager, the socket outlives a restart of ehlogate.
// proc is where /proc is.
func heldBy(proc string, pid int, network, addr string) bool {
	var inodes []string
	if network == "unix" {
		inodes = unixInodes(filepath.Join(proc, "net/unix"), addr)
	} else {
		inodes = append(tcpInodes(filepath.Join(proc, "net/tcp"), addr), tcpInodes(filepath.Join(proc, "net/tcp6"), addr)...)
	}
	if len(inodes) == 0 {
		return false
	}
	fds, err := filepath.Glob(filepath.Join(proc, fmt.Sprint(pid), "fd/*"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fds, func(fd string) bool {
		target, err := os.Readlink(fd)
		return err == nil && slices.Contains(inodes, strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]"))
	})
}

// unixInodes finds the listening sockets in /proc/net/unix: flags in field 4, inode in 7, path in 8.
func unixInodes(name, path string) (inodes []string) {
	for _, f := range fields(name) {
		if len(f) >= 8 && f[3] == "00010000" && f[7] == path {
			inodes = append(inodes, f[6])
		}
	}
	return inodes
}

// tcpInodes finds the listening sockets in /proc/net/tcp: local address in field 2, state in 4, inode in 10.
func tcpInodes(name, addr string) (inodes []string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	for _, f := range fields(name) {
		const listening = "0A"
		if len(f) < 10 || f[3] != listening {
			continue
		}
		hexIP, hexPort, _ := strings.Cut(f[1], ":")
		at, ok := kernelAddr(hexIP)
		n, err := strconv.ParseUint(hexPort, 16, 16)
		if err == nil && ok && strconv.FormatUint(n, 10) == port && (at == ip.Unmap() || at.IsUnspecified()) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

// kernelAddr understands an address as the kernel prints it: 32 bits at a time, in the byte order of the machine.
func kernelAddr(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	return ip.Unmap(), ok
}

func fields(name string) (out [][]string) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	for l := range strings.Lines(string(data)) {
		out = append(out, strings.Fields(l))
	}
	return out
}
