package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Host is the machine that the configuration is for, as far as it can be seen.
type Host struct {
	// ReadFile reads a file that the configuration names. It fails with fs.ErrNotExist only if the file is certain
	// not to exist.
	ReadFile func(path string) ([]byte, error)
	// Dial connects to an address that the configuration names; nil: nothing is connected to.
	Dial func(network, addr string) (net.Conn, error)
	// Held tells whether a listening socket is held by somebody who outlives ehlogate; nil: it cannot be known.
	Held func(network, addr string) bool
}

// dialLimit is how long an answer may take. Anybody local who needs longer is in trouble.
const dialLimit = time.Second

// ThisHost is the machine that we run on. Without connect, no address is connected to.
func ThisHost(connect bool) *Host {
	h := &Host{ReadFile: os.ReadFile, Held: func(network, addr string) bool { return heldBy("/proc", 1, network, addr) }}
	if connect {
		h.Dial = func(network, addr string) (net.Conn, error) { return net.DialTimeout(network, addr, dialLimit) }
	}
	return h
}

var errNotCopied = errors.New("it is not among the saved copies")

// SavedHost is another machine, of which there are copies of some files in
// dir, under the last part of their names.
func SavedHost(dir string) *Host {
	return &Host{ReadFile: func(path string) ([]byte, error) {
		if path == os.DevNull {
			return nil, nil
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(path)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNotCopied
		}
		return data, err
	}}
}

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
	return parsePostfix(outs[0], outs[1], outs[2])
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
