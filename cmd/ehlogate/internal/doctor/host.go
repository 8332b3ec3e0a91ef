package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ehlogate/lists/dnsclient"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

// Host is the machine that the configuration is for, as far as it can be examined.
type Host struct {
	// ReadFile reads a file that the configuration names. It fails with fs.ErrNotExist only if the file is certain
	// not to exist.
	ReadFile func(path string) ([]byte, error)
	// Dial connects to an address that the configuration names; nil means that no connections are made.
	Dial func(network, addr string) (net.Conn, error)
	// IsInherited reports whether systemd holds a listening socket, so that it outlives ehlogate; nil means unknown.
	IsInherited func(network, addr string) bool
	// Pattern returns the pattern of the files here that a list of ehlogate has under another pattern.
	Pattern func(pattern string) string
	// Resolvers returns those of the system (resolv.conf).
	Resolvers func() ([]netip.AddrPort, error)
	// Resolver returns a client of resolvers; nil means that no resolver is queried.
	Resolver func(dnsclient.Options) dnsclient.Resolver
	// Saved means that the files are copies, which are younger than the originals.
	Saved bool
	// Unit returns the properties of the service, as "systemctl show" writes them; empty if systemd does not have it.
	Unit func() (string, error)
	// ExportUnit returns the unit that exports a table, with its drop-ins, as "systemctl cat" writes them.
	ExportUnit func() (string, error)
}

// dialLimit is how long an answer may take. A local daemon that needs longer is in trouble.
const dialLimit = time.Second

// ThisHost returns the machine that doctor runs on. Without connect, no connections are made.
func ThisHost(connect bool) *Host {
	h := &Host{
		ReadFile: os.ReadFile,
		IsInherited: func(network, addr string) bool {
			return listensAt(systemctl("list-sockets", "--no-legend", "--plain", "--full"), network, addr)
		},
		Pattern:    func(pattern string) string { return pattern },
		Resolvers:  dnsclient.SystemServers,
		Unit:       liveUnit,
		ExportUnit: func() (string, error) { return systemctl("cat", "ehlogate-export.service"), nil },
	}
	if connect {
		h.Resolver = func(c dnsclient.Options) dnsclient.Resolver { return dnsclient.New(c) }
		h.Dial = func(network, addr string) (net.Conn, error) { return net.DialTimeout(network, addr, dialLimit) }
	}
	return h
}

var errNotCopied = errors.New("not among the saved copies")

// SavedHost returns another machine, of which dir has copies of some files, under the last part of their names.
func SavedHost(dir string) *Host {
	read := func(path string) ([]byte, error) {
		if path == os.DevNull {
			return nil, nil
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(path)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNotCopied
		}
		return data, err
	}
	text := func(name string) (string, error) {
		data, err := read(name)
		return string(data), err
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs // lists take no other names
	}
	return &Host{
		Saved:    true,
		ReadFile: read,
		Pattern:  func(pattern string) string { return filepath.Join(filewatch.EscapeGlob(dir), filepath.Base(pattern)) },
		Resolvers: func() ([]netip.AddrPort, error) {
			data, err := read(resolvConf)
			return dnsclient.ParseResolvConf(data), err
		},
		Unit:       func() (string, error) { return text(savedUnit) },
		ExportUnit: func() (string, error) { return text(savedExportUnit) },
	}
}

const (
	resolvConf      = "/etc/resolv.conf"
	savedUnit       = "systemctl-show" // the copy of what "systemctl show" writes
	savedExportUnit = "systemctl-cat"  // the copy of what "systemctl cat" writes
)

// localSpec returns the spec of a list with the patterns of its files on this machine.
func (h *Host) localSpec(spec listfile.Spec) listfile.Spec {
	spec.Patterns = slices.Clone(spec.Patterns)
	for i, p := range spec.Patterns {
		spec.Patterns[i] = h.Pattern(p)
	}
	return spec
}

func liveUnit() (string, error) { return systemctl("show", "ehlogate"), nil }

// listensAt reports whether one of the sockets of systemd, as "systemctl list-sockets" writes them, is at an address.
func listensAt(sockets, network, addr string) bool {
	for l := range strings.Lines(sockets) {
		listener, _, _ := strings.Cut(l, " ")
		listener = strings.Replace(listener, "[::]:", ":", 1) // which IPv4 reaches too
		if reaches(endpoint{network: network, addr: addr}, listener) {
			return true
		}
	}
	return false
}

// systemctl returns what systemctl says; empty if no systemd runs here, or it has no such unit.
func systemctl(args ...string) string {
	out, err := runProgram(context.Background(), []string{"systemctl"}, args...)
	if err != nil {
		return ""
	}
	return out
}
