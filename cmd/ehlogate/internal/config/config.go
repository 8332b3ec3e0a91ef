// Package config reads the config file: TOML, strict, with the place and a
// hint for everything that is wrong in it, all at once.
package config

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/file"
	"ehlogate/policyd/delegation"
)

// DefaultFile is read if no config is named and it exists.
const DefaultFile = "/etc/ehlogate/ehlogate.toml"

// Config is a config file that was found good.
type Config struct {
	File          string // empty: the built-in defaults
	Mode          lists.Mode
	Default       lists.Action
	AlwaysHide    []string
	ExplicitOffer bool
	RequireReply  string // to MAIL without TLS from a client that must use it
	MaxEntries    int    // of each list
	Policy        delegation.Actions
	Milter        Milter
	Listen        Listen
	Log           Log
	Lists         []List
}

// Listen says which sockets are opened: IP:PORT, or the absolute path of a
// unix socket.
type Listen struct {
	// Explicit: the file names addresses. If not, these are defaults, and not
	// opened if the service manager passes sockets.
	Explicit bool

	Memcache, Socketmap, TCPTable, Policy, Milter, HTTP []string

	SocketGroup    string
	SocketMode     fs.FileMode
	MaxConnections int // for each socket
}

// Protocols are the names of what is spoken, as they stand in [listen].
var Protocols = []string{"memcache", "socketmap", "tcp_table", "policy", "milter", "http"}

// Of gives the addresses for one of Protocols.
func (l *Listen) Of(protocol string) []string {
	switch protocol {
	case "memcache":
		return l.Memcache
	case "socketmap":
		return l.Socketmap
	case "tcp_table":
		return l.TCPTable
	case "policy":
		return l.Policy
	case "milter":
		return l.Milter
	case "http":
		return l.HTTP
	}
	return nil
}

// HeldDir is where the package has systemd hold unix sockets, each named after
// its protocol.
const HeldDir = "/var/spool/postfix/ehlogate"

// Milter is [milter].
type Milter struct {
	AddHeader bool
}

// Log says what is logged, to standard error.
type Log struct {
	Level logrus.Level
	JSON  bool
}

// List is one [[list]].
type List struct {
	Name   string
	Action lists.Action
	Mode   lists.Mode
	Spec   file.Spec
}

// Defaults is the config without a file: everything offered, listening on
// loopback.
func Defaults() *Config {
	actions := *delegation.DefaultActions()
	return &Config{
		RequireReply: actions.RequireUnmet,
		MaxEntries:   20_000_000,
		Policy:       actions,
		Listen: Listen{
			Memcache:       []string{"127.0.0.1:10046"},
			Socketmap:      []string{"127.0.0.1:10041"},
			TCPTable:       []string{"127.0.0.1:10042"},
			Policy:         []string{"127.0.0.1:10043"},
			Milter:         []string{"127.0.0.1:10044"},
			HTTP:           []string{"127.0.0.1:10045"},
			SocketMode:     0o660,
			MaxConnections: 4096,
		},
		Log: Log{Level: logrus.InfoLevel},
	}
}

// Load reads the config file name. If name is empty it reads DefaultFile, or
// gives Defaults if there is none. What is wrong in a file comes back as
// *file.Problems.
func Load(name string) (*Config, error) {
	if name == "" {
		if _, err := os.Stat(DefaultFile); os.IsNotExist(err) {
			return Defaults(), nil
		}
		name = DefaultFile
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	return parse(name, filepath.Dir(abs), data)
}
