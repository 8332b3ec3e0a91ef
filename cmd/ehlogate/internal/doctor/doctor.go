// Package doctor examines the configuration of a mail server and reports what would hurt: what refuses mail while
// ehlogate is unreachable, what sends passwords in the clear, what never queries ehlogate.
//
// It reports what is certain from what it could read, and says what it could not examine. The mail server's own
// programs say what the settings are (postconf, exim -bP), so that macros, included files and defaults are theirs.
// Sendmail has no such program: its configuration file is read. ehlogate's own use of DNS is examined too: whether it
// can query its resolvers, and whether the answers of the DNS lists are good.
//
// All settings are read once, into a Postfix, an Exim or a Sendmail. The checks are in the tables of checks.go.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// Severity is what a finding may cost.
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

// Place is where a setting is.
type Place struct {
	File      string `json:"file,omitempty"`      // main.cf, master.cf or a path; "default" if it is not set
	Service   string `json:"service,omitempty"`   // the service it is about, as named in master.cf
	Parameter string `json:"parameter,omitempty"` // its name
	Value     string `json:"value,omitempty"`     // as it is written there
}

// Report is what an examination found.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Count returns how many findings have that severity.
func (r *Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// add adds a finding, once: several services may use one map.
func (r *Report) add(f Finding) {
	same := func(o Finding) bool { return o.ID == f.ID && o.Place == f.Place && o.What == f.What }
	if !slices.ContainsFunc(r.Findings, same) {
		r.Findings = append(r.Findings, f)
	}
}

// sortFindings puts the worst first, and otherwise keeps the order of the files.
func (r *Report) sortFindings() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
}

// exam is one examination.
type exam struct {
	Report
	ctx      context.Context // ends the queries of daemons and resolvers
	host     *Host
	daemon   Daemon
	pf       *Postfix
	exim     *Exim
	sendmail *Sendmail

	smtpds          []smtpd
	resolvers       []netip.AddrPort  // those that ehlogate queries
	resolversAt     Place             // where they are set
	resolverAnswers bool              // one of them does
	probed          map[endpoint]bool // the addresses that were connected to
	compared        bool              // the running daemon was compared with the files
}

// Examine runs all checks. Each of the configurations may be absent. Resolvers are queried until ctx ends, and for a
// few seconds at most.
func Examine(ctx context.Context, host *Host, daemon Daemon, pf *Postfix, exim *Exim, sendmail *Sendmail) *Report {
	e := &exam{ctx: ctx, host: host, daemon: daemon, pf: pf, exim: exim, sendmail: sendmail, probed: make(map[endpoint]bool)}
	e.Findings = []Finding{} // JSON: a list, if an empty one
	if pf != nil {
		e.smtpds = e.findSMTPDs()
	}
	for _, c := range checks {
		if c.on&e.subjects() != 0 {
			c.run(e)
		}
	}
	if pf != nil && pf.Dir != "" {
		for i := range e.Findings {
			e.Findings[i].useDirectory(pf.Dir)
		}
	}
	e.sortFindings()
	return &e.Report
}

func (e *exam) addHazard(id string, at Place, what, why string, writes ...Write) {
	e.addAdvice(Finding{ID: id, Severity: Hazard, Place: at, What: what, Why: why}, writes...)
}

func (e *exam) addWarning(id string, at Place, what, why string, writes ...Write) {
	e.addAdvice(Finding{ID: id, Severity: Warning, Place: at, What: what, Why: why}, writes...)
}

func (e *exam) addNote(id string, at Place, what, why string, writes ...Write) {
	e.addAdvice(Finding{ID: id, Severity: Note, Place: at, What: what, Why: why}, writes...)
}

// addAdvice adds a finding with what to write, in that order. Writes in one place become one.
func (e *exam) addAdvice(f Finding, writes ...Write) {
	var all []Write
	for _, w := range writes {
		if n := len(all); n > 0 && all[n-1].In == w.In {
			all[n-1].Lines = append(all[n-1].Lines, w.Lines...)
		} else if len(w.Lines) > 0 {
			all = append(all, w)
		}
	}
	if len(all) > 0 {
		f.Write, f.Also = all[0], all[1:]
	}
	e.add(f)
}

// addUnread adds that something could not be examined.
func (e *exam) addUnread(at Place, name string, err error) {
	e.addNote("not-examined", at, fmt.Sprintf("cannot read %s: %v", name, err), "Its content was not examined.")
}
