package mtatest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// TempDir makes a new directory for servers to live in and returns its path; the caller removes it. It differs from
// os.MkdirTemp in two ways: users other than the caller may enter it (delivery runs as one), and its path is short (a
// unix socket's path may have no more than 107 bytes).
func TempDir() (string, error) {
	dir, err := os.MkdirTemp("", "ehlogate-")
	if err != nil {
		return "", fmt.Errorf("making a directory for the servers: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("opening %s for the servers' users: %w", dir, err)
	}
	return dir, nil
}

// issued holds the ports that FreePorts gave out, so that no two callers in this process get the same.
var issued = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePorts returns n different TCP ports that are free on 127.0.0.1 and, where the machine has it, on ::1. They lie below
// the range from which the kernel takes the ports of outgoing connections: a server that is down for a while finds its
// port free again, and no client that dials it meanwhile connects to itself. It fails if none can be found.
func FreePorts(n int) ([]int, error) {
	const low, high = 12000, 32000
	issued.Lock()
	defer issued.Unlock()
	var ports []int
	for try := 0; len(ports) < n; try++ {
		if try > 100+100*n {
			return nil, fmt.Errorf("looking for %d free loopback ports in %d-%d: found only %d", n, low, high, len(ports))
		}
		port := low + rand.IntN(high-low)
		if issued.ports[port] || !isFree(port) {
			continue
		}
		issued.ports[port] = true
		ports = append(ports, port)
	}
	return ports, nil
}

// isFree reports whether the port can be bound on both loopback addresses.
func isFree(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			if host == "::1" && !hasIPv6() {
				continue
			}
			return false
		}
		l.Close()
	}
	return true
}

// hasIPv6 reports whether this machine can listen on ::1 at all.
var hasIPv6 = sync.OnceValue(func() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
})

// writeFiles writes the named files below dir, making folders as needed. Every user may read them, and they are dated back:
// every Postfix program that finds a file which is younger than a second waits until it is older, in case it is being written.
func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the folder of %s: %w", path, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot write %s: %w", path, err)
		}
		past := time.Now().Add(-time.Minute)
		if err := os.Chtimes(path, past, past); err != nil {
			return fmt.Errorf("dating %s back: %w", path, err)
		}
	}
	return nil
}
