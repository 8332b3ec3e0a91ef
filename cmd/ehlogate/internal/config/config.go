// Package config reads the config file, in strict TOML. It reports everything that is wrong at once, each problem with its
// position and what to write.
package config

import (
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
	"ehlogate/lists/ratelimit"
	"ehlogate/policyd/delegation"
)

// maxFile is the largest config file in bytes. A larger one is something else, such as a log.
const maxFile = 1 << 20

// DefaultFile is read if the operator names no config file and it exists.
const DefaultFile = "/etc/ehlogate/ehlogate.toml"

// Config is a valid config.
type Config struct {
	File          string // "": the built-in defaults
	Digest        string // of the values in the file; a comment does not change it
	Mode          lists.Mode
	Default       lists.Action // Offer if Limit is not nil
	Limit         *Limit       // nil unless default = "limit"
	AlwaysHide    []string     // EHLO keywords
	ExplicitOffer bool
	RequireReply  string // SMTP reply to mail without TLS from a client that must use it
	MaxEntries    int    // of each list
	Policy        delegation.Actions
	Milter        Milter
	Listen        Listen
	HTTP          HTTP
	Log           Log
	DNS           DNS
	Guard         Guard
	Logs          Logs
	Learn         Learn
	TLSRPT        TLSRPT
	Edits         Edits
	Lists         []List
}

// DNS is [dns].
type DNS struct {
	Resolvers   []netip.AddrPort // empty: those of the system
	Wait        time.Duration    // longest delay of EHLO by a cache miss, for all queries about a client together
	Timeout     time.Duration    // of one attempt of a query
	VerifyNames bool             // look up host names of clients if a list has host names
	Cache       dnscache.Options
}

// Limit is [limit]. At least one of OffersPerSecond and CPUPressure is not 0.
type Limit struct {
	ratelimit.Rate
	CPUPressure  float64 // share of time from which on fewer clients are offered STARTTLS; 0: the rate is fixed
	PressureFile string  // "": that of the machine
}

// Guard is [guard].
type Guard struct {
	Domains []string // for which this server receives mail
	Off     bool
	State   string // path of the file that keeps what the domains published; "": none
}

// DefaultState is the default path of the state file of [guard].
const DefaultState = "/var/lib/ehlogate/guard.json"

// Logs is [logs].
type Logs struct {
	Files   []string // of mail servers, absolute paths
	Journal bool     // of the system
	Socket  string   // absolute path of a unix socket for datagrams; "": none
	State   string   // path of the file that keeps up to where they were read; "": none
}

// IsEmpty reports whether no log is read.
func (l Logs) IsEmpty() bool { return len(l.Files) == 0 && !l.Journal && l.Socket == "" }

// DefaultLogsState is the default path of the state file of [logs].
const DefaultLogsState = "/var/lib/ehlogate/logs.json"

// TLSRPT is [tlsrpt].
type TLSRPT struct {
	State string // path of the file in which "ehlogate tlsrpt --record" writes what it finds; "": none
}

// DefaultTLSRPTState is the default path of the state file of [tlsrpt].
const DefaultTLSRPTState = "/var/lib/ehlogate/tlsrpt.json"

// Edits is [edits].
type Edits struct {
	Journal string // path of the file in which "ehlogate list" writes each edit; "": none
	Used    string // path of the file that keeps when entries last matched a session; "": none
}

// DefaultJournal is the default path of the journal of [edits].
const DefaultJournal = "/var/lib/ehlogate/edits.jsonl"

// DefaultUsed is the default path of the file of uses of [edits].
const DefaultUsed = "/var/lib/ehlogate/used.json"

// Listen is [listen]. An address is IP:PORT, or the absolute path of a unix socket.
type Listen struct {
	// Explicit: the config names addresses. Otherwise the addresses are defaults, and are not used if the service
	// manager passes sockets.
	Explicit bool

	Addresses      map[string][]string // by protocol
	SocketGroup    string
	SocketMode     fs.FileMode
	MaxConnections int // for each socket
}

// Protocols are the keys of [listen] that name addresses, in the order in which sockets are opened.
var Protocols = []string{"memcache", "socketmap", "tcp_table", "policy", "milter", "http"}

// InheritedDir is the directory in which the socket units of the Debian package have their unix sockets, each with the
// name of its protocol.
const InheritedDir = "/var/spool/postfix/ehlogate"

// ProtocolOf returns the protocol of an inherited socket: its name, else that of its address in [listen] or in the
// defaults, else the name of its file; "" if none of these is a protocol.
func (l *Listen) ProtocolOf(name string, isAt func(addr string) bool, file string) string {
	if slices.Contains(Protocols, name) {
		return name
	}
	for _, l := range []*Listen{l, &Defaults().Listen} {
		for _, protocol := range Protocols {
			if slices.ContainsFunc(l.Addresses[protocol], isAt) {
				return protocol
			}
		}
	}
	if slices.Contains(Protocols, file) {
		return file
	}
	return ""
}

// HTTP is [http].
type HTTP struct {
	Hosts []string // host names by which the HTTP interface may be queried, besides IP addresses and localhost
}

// Milter is [milter].
type Milter struct {
	AddHeader bool
}

// Log is [log]. The log goes to standard error.
type Log struct {
	Level logrus.Level
	JSON  bool
}

// List is one [[list]].
type List struct {
	Name     string
	Action   lists.Action   // NoAction: it only hides keywords
	Hide     lists.Keywords // hidden from the clients that it matches
	Mode     lists.Mode
	Services lists.Services // to which it applies
	Spec     listfile.Spec  // of a list of files
	Zones    dnsbl.Spec     // of a DNS list
	Learn    LearnKind
}

// IsDNSList reports whether the list is a DNS list (DNSxL).
func (l *List) IsDNSList() bool { return len(l.Zones.Zones) > 0 }

// IsExternal reports whether the entries of the list come from others than the operator of this server. [guard] can
// override the suppressions of such a list.
func (l *List) IsExternal() bool { return l.IsDNSList() || l.IsLearned() || l.Spec.Format != nil }

// NeedsGuard reports whether the config suppresses clients that are on no list, or on an external list.
func (c *Config) NeedsGuard() bool {
	return c.Mode == lists.Enforce && (c.suppressesUnknown() || slices.ContainsFunc(c.Lists, func(l List) bool { return l.suppressesExternal() }))
}

func (c *Config) suppressesUnknown() bool { return c.Default == lists.Suppress || c.Limit != nil }

func (l *List) suppressesExternal() bool {
	return l.IsExternal() && l.Action == lists.Suppress && l.Mode == lists.Enforce
}

// DefaultWord returns the value of the key default.
func (c *Config) DefaultWord() string {
	if c.Limit != nil {
		return "limit"
	}
	return c.Default.String()
}

// RemoteLookups iterates over the protocols and addresses at which mail servers in containers or on other machines look
// clients up.
func (c *Config) RemoteLookups() iter.Seq2[string, string] {
	return func(yield func(protocol, addr string) bool) {
		for _, protocol := range []string{"memcache", "socketmap", "tcp_table"} {
			for _, addr := range c.Listen.Addresses[protocol] {
				if at, err := netip.ParseAddrPort(addr); err == nil && !at.Addr().IsLoopback() && !yield(protocol, addr) {
					return
				}
			}
		}
	}
}

// UsesDNS reports whether the config needs DNS queries about clients, for a DNS list or for host names.
func (c *Config) UsesDNS() bool {
	return c.DNS.VerifyNames || slices.ContainsFunc(c.Lists, func(l List) bool { return l.IsDNSList() })
}

// BehindDNS returns the lists that suppress without DNS behind a list that needs DNS and does not suppress, and that list.
// While DNS fails, such a list decides with an offer, since it might have matched: those behind it suppress no client.
// usesNames reports whether a list of files has host names.
func (c *Config) BehindDNS(usesNames func(List) bool) iter.Seq2[List, List] {
	return func(yield func(behind, before List) bool) {
		needsDNS := func(l List) bool { return l.IsDNSList() || c.DNS.VerifyNames && usesNames(l) }
		var before *List
		for i, l := range c.Lists {
			switch {
			case l.Mode != lists.Enforce:
			case l.Action != lists.Suppress && l.Action != lists.NoAction && before == nil && needsDNS(l):
				before = &c.Lists[i]
			case l.Action == lists.Suppress && before != nil && !needsDNS(l) && !yield(l, *before):
				return
			}
		}
	}
}

// Defaults returns the config that is used without a file: STARTTLS is offered to all clients, and sockets listen on
// loopback.
func Defaults() *Config {
	actions := *delegation.DefaultActions()
	return &Config{
		RequireReply: actions.RequireUnmet,
		MaxEntries:   20_000_000,
		Policy:       actions,
		Listen: Listen{
			Addresses: map[string][]string{
				"memcache":  {"127.0.0.1:10046"},
				"socketmap": {"127.0.0.1:10041"},
				"tcp_table": {"127.0.0.1:10042"},
				"policy":    {"127.0.0.1:10043"},
				"milter":    {"127.0.0.1:10044"},
				"http":      {"127.0.0.1:10045"},
			},
			SocketMode:     0o660,
			MaxConnections: 4096,
		},
		Log:    Log{Level: logrus.InfoLevel},
		DNS:    DNS{Wait: 300 * time.Millisecond, Timeout: time.Second, Cache: dnscache.Defaults()},
		Guard:  Guard{State: DefaultState},
		Logs:   Logs{State: DefaultLogsState},
		Learn:  defaultLearn(),
		TLSRPT: TLSRPT{State: DefaultTLSRPTState},
		Edits:  Edits{Journal: DefaultJournal, Used: DefaultUsed},
	}
}

// Load reads the config file name. If name is "" it reads DefaultFile, and returns Defaults if that does not exist. An
// invalid file gives a *diag.Problems.
func Load(name string) (*Config, error) {
	if name == "" {
		if _, err := os.Stat(DefaultFile); os.IsNotExist(err) {
			return Defaults(), nil
		}
		name = DefaultFile
	}
	data, err := filewatch.ReadFile(name, maxFile)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	return parse(name, filepath.Dir(abs), data)
}
