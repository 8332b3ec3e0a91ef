// Package doctor examines the configuration of a mail server and reports what would hurt: what refuses mail while
// ehlogate is unreachable, what sends passwords in the clear, what never queries ehlogate.
//
// It reports what is certain from what it could read, and says what it could not examine. The mail server's own
// programs say what the settings are (postconf, exim -bP), so that macros, included files and defaults are theirs.
// Sendmail has no such program: its configuration file is read. What Sendmail and Exim then offer clients is tried out
// (trial.go): their programs run on a copy in which doctor has the address of ehlogate. ehlogate's own use of DNS is examined too: whether it
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
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/listfile"
	"ehlogate/lists/secret"
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
	Findings []Finding       `json:"findings"`
	Judged   string          `json:"judged,omitempty"` // what the checks judged by, and whether the daemon uses it
	Daemon   *running.Status `json:"daemon,omitempty"` // if it answered
	reload   string          // the command by which Postfix has new settings
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

type exam struct {
	Report
	ctx      context.Context // ends the queries of daemons and resolvers
	host     *Host
	config   *config.Config
	file     string // that the config is in
	dirFlag  string // of the commands of Postfix, for the configuration of this one
	pf       *Postfix
	exim     *Exim
	sendmail *Sendmail

	smtpds      []smtpd
	resolvers   []netip.AddrPort          // those that ehlogate queries
	resolversAt Place                     // where they are set
	pairs       map[string]pair           // tables that decide together, by the names of both
	probed      map[endpoint]bool         // the addresses that were connected to
	loaded      map[string]*listfile.List // by name
	listener    *server.Credentials       // the user that made a socket file; root if systemd did
	compared    bool                      // the running daemon was compared with the files
	suppressed  []netip.Addr              // some clients that the running daemon suppresses
}

// Examine runs all checks. Each of the configurations may be absent. Resolvers are queried until ctx ends, and for a
// few seconds at most.
func Examine(ctx context.Context, host *Host, cfg *config.Config, pf *Postfix, exim *Exim, sendmail *Sendmail) *Report {
	e := &exam{ctx: ctx, host: host, config: cfg, pf: pf, exim: exim, sendmail: sendmail, probed: make(map[endpoint]bool),
		pairs: make(map[string]pair), loaded: make(map[string]*listfile.List)}
	e.file = cmp.Or(cfg.File, config.DefaultFile)
	e.Findings = []Finding{} // JSON: a list, if an empty one
	if pf != nil {
		e.smtpds = e.findSMTPDs()
		if pf.Dir != "" {
			e.dirFlag = " -c " + quoteShell(pf.Dir)
		}
		e.addUnexpanded()
	}
	e.reload = e.withDirFlag(postfixReload)
	for _, c := range checks {
		if c.applies(e) {
			c.run(e)
		}
	}
	slices.SortStableFunc(e.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return &e.Report
}

// add adds a finding with what to write, in that order. Writes in one place become one. Several services may use
// one map: a finding that is there is not added again.
func (e *exam) add(severity Severity, id string, at Place, what, why string, writes ...Write) {
	at.Value, what, why = secret.MaskText(at.Value), secret.MaskText(what), secret.MaskText(why)
	if slices.ContainsFunc(e.Findings, func(f Finding) bool { return f.ID == id && f.Place == at && f.What == what }) {
		return
	}
	f := Finding{ID: id, Severity: severity, Place: at, What: what, Why: why}
	var all []Write
	for _, w := range writes {
		w = w.withoutKeys()
		for i, l := range w.Lines {
			if w.In == shell {
				w.Lines[i] = e.withDirFlag(l)
			}
		}
		if n := len(all); n > 0 && all[n-1].In == w.In {
			all[n-1].Lines = append(all[n-1].Lines, w.Lines...)
		} else if len(w.Lines) > 0 {
			all = append(all, w)
		}
	}
	if len(all) > 0 {
		f.Write, f.Also = all[0], all[1:]
	}
	e.Findings = append(e.Findings, f)
}

// withDirFlag returns a line for the shell, with its commands about the Postfix that is examined.
func (e *exam) withDirFlag(line string) string {
	return strings.NewReplacer("postconf ", "postconf"+e.dirFlag+" ", postfixReload, "postfix"+e.dirFlag+" reload").Replace(line)
}

func (e *exam) addUnread(at Place, name string, err error) {
	e.add(Note, "not-examined", at, fmt.Sprintf("cannot read %s: %v", name, err), "Its content was not examined.")
}
