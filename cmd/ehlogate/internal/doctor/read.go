package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ehlogate/lists/dnsclient"
	"ehlogate/lists/listfile"
)

// Host is the machine that the configuration is for, as far as it can be seen.
type Host struct {
	// ReadFile reads a file that the configuration names. It fails with fs.ErrNotExist only if the file is certain
	// not to exist.
	ReadFile func(path string) ([]byte, error)
	// Dial connects to an address that the configuration names; nil: nothing is connected to.
	Dial func(network, addr string) (net.Conn, error)
	// Held tells whether a listening socket is held by a process that outlives ehlogate; nil: it cannot be known.
	Held func(network, addr string) bool
	// List gives the pattern under which files are found here that a list of ehlogate names by pattern.
	List func(pattern string) string
	// Resolvers are those of the system (resolv.conf).
	Resolvers func() ([]netip.AddrPort, error)
	// Ask makes a client of resolvers; nil: no resolver is asked.
	Ask func(dnsclient.Options) dnsclient.Resolver
	// Saved tells that the files are copies, which are not as old as those that they were made of.
	Saved bool
	// Unit gives the properties of the service, as "systemctl show" writes them; empty if systemd does not have it.
	Unit func() (string, error)
	// ExportUnit gives the unit that exports a table, with its drop-ins, as "systemctl cat" writes them; nil: it cannot be known.
	ExportUnit func() (string, error)
	// Written tells when a file was written to last; nil: it cannot be known.
	Written func(name string) (time.Time, error)
}

// dialLimit is how long an answer may take. A local daemon that needs longer is in trouble.
const dialLimit = time.Second

// ThisHost is the machine that we run on. Without connect, no address is connected to.
func ThisHost(connect bool) *Host {
	h := &Host{
		ReadFile:   os.ReadFile,
		Held:       func(network, addr string) bool { return heldBy("/proc", 1, network, addr) },
		List:       func(pattern string) string { return pattern },
		Resolvers:  dnsclient.SystemServers,
		Unit:       liveUnit,
		ExportUnit: func() (string, error) { return systemctl("cat", "ehlogate-export.service") },
		Written: func(name string) (time.Time, error) {
			info, err := os.Stat(name)
			if err != nil {
				return time.Time{}, err
			}
			return info.ModTime(), nil
		},
	}
	if connect {
		h.Ask = func(c dnsclient.Options) dnsclient.Resolver { return dnsclient.New(c) }
		h.Dial = func(network, addr string) (net.Conn, error) { return net.DialTimeout(network, addr, dialLimit) }
	}
	return h
}

var errNotCopied = errors.New("it is not among the saved copies")

// SavedHost is another machine, of which there are copies of some files in
// dir, under the last part of their names.
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
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs // lists are made of nothing else
	}
	return &Host{
		Saved:    true,
		ReadFile: read,
		List:     func(pattern string) string { return filepath.Join(listfile.EscapeGlob(dir), filepath.Base(pattern)) },
		Resolvers: func() ([]netip.AddrPort, error) {
			text, err := read(resolvConf)
			if err != nil {
				return nil, err
			}
			return dnsclient.ParseResolvConf(text), nil
		},
		Unit: func() (string, error) {
			text, err := read(savedUnit)
			return string(text), err
		},
		ExportUnit: func() (string, error) {
			text, err := read(savedExportUnit)
			return string(text), err
		},
	}
}

const (
	resolvConf = "/etc/resolv.conf"
	savedUnit  = "systemctl-show" // the copy of what "systemctl show" writes

	savedExportUnit = "systemctl-cat" // the copy of what "systemctl cat" writes
)

// liveUnit asks systemd, if that runs here.
func liveUnit() (string, error) {
	out, err := systemctl("show", "ehlogate")
	if err != nil {
		return "", nil // no systemd, no unit
	}
	return out, nil
}

func systemctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), unitLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", args...).Output()
	return string(out), err
}

// unitLimit is how long systemd may take to answer.
const unitLimit = 5 * time.Second

// LivePostfix asks postconf; dir is the configuration directory, or empty for
// Postfix's own.
func LivePostfix(ctx context.Context, dir string) (*Postfix, error) {
	var outs [3]output
	for i, flag := range []string{"-n", "-P", "-M"} {
		args := []string{flag}
		if dir != "" {
			args = []string{"-c", dir, flag}
		}
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, "postconf", args...)
		cmd.Stderr = &stderr
		name := strings.Join(cmd.Args, " ")
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w%s", name, err, lastLine(stderr.String()))
		}
		outs[i] = output{name, string(out)}
	}
	pf, err := parsePostfix(outs[0], outs[1], outs[2])
	if err == nil {
		pf.Dir = dir
	}
	return pf, err
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if s = s[strings.LastIndexByte(s, '\n')+1:]; s != "" {
		s = ": " + s
	}
	return s
}

// SavedPostfix reads the files postconf-n, postconf-P and postconf-M in dir.
func SavedPostfix(dir string) (*Postfix, error) {
	var outs [3]output
	for i, name := range []string{"postconf-n", "postconf-P", "postconf-M"} {
		name = filepath.Join(dir, name)
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		outs[i] = output{name, string(data)}
	}
	return parsePostfix(outs[0], outs[1], outs[2])
}
