// Package config reads the config file: TOML, strict, with the place and a
// hint for everything that is wrong in it, all at once.
package config

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
	"ehlogate/lists/ratelimit"
	"ehlogate/policyd/delegation"
)

// maxFile is the size of a config file, in bytes, from which on it is none.
const maxFile = 1 << 20

// DefaultFile is read if no config is named and it exists.
const DefaultFile = "/etc/ehlogate/ehlogate.toml"

// Config is a config file that was found good.
type Config struct {
	File          string // empty: the built-in defaults
	Mode          lists.Mode
	Default       lists.Action    // Offer if there is Shed
	Limit         *ratelimit.Rate // of default = "limit"; nil: another default
	AlwaysHide    []string
	ExplicitOffer bool
	RequireReply  string // to MAIL without TLS from a client that must use it
	MaxEntries    int    // of each list
	Policy        delegation.Actions
	Milter        Milter
	Listen        Listen
	Log           Log
	DNS           DNS
	Guard         Guard
	Lists         []List
}

// DNS is [dns].
type DNS struct {
	Resolvers   []netip.AddrPort // none: those of the system
	Wait        time.Duration    // for what is not in memory, in all of a question
	Timeout     time.Duration    // of one attempt
	VerifyNames bool             // find out clients' names where a list has any
	Cache       dnsbl.Options
}

// Guard is [guard].
type Guard struct {
	Domains []string // that are served here
	Off     bool
	State   string // file that remembers promises
}

// DefaultState is where [guard] remembers promises.
const DefaultState = "/var/lib/ehlogate/guard.json"

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

// Addresses gives the addresses for one of Protocols.
func (l *Listen) Addresses(protocol string) []string {
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

// InheritedDir is where the package has systemd hold unix sockets, each named after
// its protocol.
const InheritedDir = "/var/spool/postfix/ehlogate"

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
	Spec   listfile.Spec // if there are no zones
	Zones  dnsbl.Spec    // of a list by DNS
}

// IsDNSList says that the list is one by DNS, and not of files.
func (l *List) IsDNSList() bool { return len(l.Zones.Zones) > 0 }

// IsExternal says that the operator of this server does not write what is in the
// list, which [guard] may hold back.
func (l *List) IsExternal() bool { return l.IsDNSList() || l.Spec.Format != nil }

// NeedsGuard says that clients are suppressed for being unknown, or on the word
// of others.
func (c *Config) NeedsGuard() bool {
	return c.Mode == lists.Enforce && (c.suppressesUnknown() || slices.ContainsFunc(c.Lists, func(l List) bool { return l.suppressesExternal() }))
}

func (c *Config) suppressesUnknown() bool { return c.Default == lists.Suppress || c.Limit != nil }

func (l *List) suppressesExternal() bool {
	return l.IsExternal() && l.Action == lists.Suppress && l.Mode == lists.Enforce
}

// DefaultWord is the default as it stands in the file.
func (c *Config) DefaultWord() string {
	if c.Limit != nil {
		return "limit"
	}
	return c.Default.String()
}

// UsesDNS says that something is asked by DNS: a list, or the names of clients.
func (c *Config) UsesDNS() bool {
	return c.DNS.VerifyNames || slices.ContainsFunc(c.Lists, func(l List) bool { return l.IsDNSList() })
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
		Log:   Log{Level: logrus.InfoLevel},
		DNS:   DNS{Wait: 300 * time.Millisecond, Timeout: time.Second, Cache: dnsbl.Defaults()},
		Guard: Guard{State: DefaultState},
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
	data, err := listfile.ReadFile(name, maxFile)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	return parse(name, filepath.Dir(abs), data)
}
