// Package doctor reads the configuration of a mail server and reports what in
// it would hurt, beside ehlogate: what refuses mail when ehlogate is away, what
// sends passwords in the clear, what is never asked.
//
// It reports what is certain from what it could read, and says where it could
// not look. The settings of Postfix come from postconf, of the running system
// or as saved copies; of Exim and Sendmail the configuration file is read, and
// only the question that it asks ehlogate is judged. Where ehlogate in turn asks
// others, by DNS, it looks whether it can, and whether the answers are good.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
)

// Severity says what a finding costs.
type Severity int

// The severities. Only hazards are wrong for certain.
const (
	Note    Severity = iota // good to know
	Warning                 // works, and hurts in some situation
	Hazard                  // loses mail or gives away passwords, at once or as soon as something fails
)

func (s Severity) String() string { return [...]string{"note", "warning", "hazard"}[s] }

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that an operator should look at.
type Finding struct {
	ID       string   `json:"id"` // stable
	Severity Severity `json:"severity"`
	Place
	What  string  `json:"what"`
	Why   string  `json:"why"`
	Write Write   `json:"write,omitzero"`
	Also  []Write `json:"also,omitempty"` // to write as well, elsewhere
}

// Place is where a setting stands.
type Place struct {
	File      string `json:"file,omitempty"`      // main.cf, master.cf or a path; "default" if it is not set
	Service   string `json:"service,omitempty"`   // the service it is about, as master.cf has it
	Parameter string `json:"parameter,omitempty"` // its name
	Value     string `json:"value,omitempty"`     // as it is written there
}

// shell is where commands are to be run.
const shell = "a root shell"

// Write is what to write, and where. A line replaces one that sets the same parameter there. Lines for the shell are commands.
type Write struct {
	In    string   `json:"in,omitempty"`
	Lines []string `json:"lines,omitempty"`
}

// set is the advice to write another value where one stands.
func (at Place) set(value string) Write {
	setting := strings.TrimSpace(at.Parameter + " = " + value)
	switch at.File {
	case "master.cf":
		return option(at.Service, at.Parameter, value)
	case "main.cf", "default":
		return inMain(setting)
	}
	return Write{at.File, []string{setting}}
}

// replace is the advice to write one part of a value otherwise. If the part
// came from another setting, it is shown alone.
func (at Place) replace(part, by string) Write {
	if !strings.Contains(at.Value, part) {
		return Write{at.File, []string{by}}
	}
	return at.set(strings.Replace(at.Value, part, by, 1))
}

// Report is what an examination found.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Count tells how many findings are of that severity.
func (r *Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// add notes a finding, once: one map may be asked by several services.
func (r *Report) add(f Finding) {
	same := func(o Finding) bool { return o.ID == f.ID && o.Place == f.Place && o.What == f.What }
	if !slices.ContainsFunc(r.Findings, same) {
		r.Findings = append(r.Findings, f)
	}
}

// sort puts the worst first, and otherwise keeps the order of the files.
func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
}

// Daemon is what ehlogate itself is configured to do.
type Daemon struct {
	File          string   // its config, for messages
	AlwaysHide    []string // keywords that a denied client loses besides STARTTLS
	ExplicitOffer bool

	// Where it listens. Without an address for policy or milter their usual ports stand for it.
	Memcache, Socketmap, TCPTable, Policy, Milter, HTTP []string

	config *config.Config // for what it asks others
}

// DaemonFrom takes it from the config. Where that leaves it to systemd where to listen, the sockets of the package count too.
func DaemonFrom(cfg *config.Config) Daemon {
	listen := func(protocol string) []string {
		addrs := cfg.Listen.Addresses(protocol)
		if !cfg.Listen.Explicit {
			addrs = append(slices.Clip(addrs), path.Join(config.InheritedDir, protocol))
		}
		return addrs
	}
	return Daemon{
		File:          cmp.Or(cfg.File, config.DefaultFile),
		AlwaysHide:    cfg.AlwaysHide,
		ExplicitOffer: cfg.ExplicitOffer,
		Memcache:      listen(memcacheProto),
		Socketmap:     listen(socketmapProto),
		TCPTable:      listen(tcpTableProto),
		Policy:        listen(policyProto),
		Milter:        listen(milterProto),
		HTTP:          listen("http"),
		config:        cfg,
	}
}

// exam is one examination.
type exam struct {
	Report
	ctx  context.Context // until when daemons are asked
	host *Host
	gate Daemon
	pf   *Postfix

	probed   map[endpoint]bool // what was connected to
	compared bool              // the running daemon was compared with the files
	live     bool              // a smtpd asks a daemon about EHLO
}

// Examine looks over what was read. Each of the configurations may be absent.
// Resolvers are asked until ctx ends, and for a few seconds at most.
func Examine(ctx context.Context, host *Host, gate Daemon, pf *Postfix, exim *Exim, sendmail *Sendmail) *Report {
	e := &exam{ctx: ctx, host: host, gate: gate, pf: pf, probed: make(map[endpoint]bool)}
	e.Findings = []Finding{} // JSON: a list, if an empty one
	if pf != nil {
		e.postfix()
	}
	if exim != nil {
		e.exim(exim)
	}
	if sendmail != nil {
		e.sendmail(sendmail)
	}
	e.asking(ctx)
	if pf != nil && pf.Dir != "" {
		for i := range e.Findings {
			e.Findings[i].in(pf.Dir)
		}
	}
	e.sort()
	return &e.Report
}

// unread notes that something could not be judged.
func (e *exam) unread(at Place, name string, err error) {
	e.add(Finding{
		ID: "not-examined", Severity: Note, Place: at,
		What: fmt.Sprintf("%s could not be read here: %v", name, err),
		Why:  "What it holds was not judged.",
	})
}
