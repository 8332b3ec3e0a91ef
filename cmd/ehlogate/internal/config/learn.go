package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

// LearnKind is how a list learns from the logs of mail servers; empty if it does not.
type LearnKind string

// The kinds.
const (
	LearnFallback LearnKind = "fallback" // clients that cannot do TLS with this server
	LearnEarned   LearnKind = "earned"   // clients that deliver mail which is accepted
)

// Learn is [learn], [fallback] and [earned].
type Learn struct {
	State string // path of the file that keeps what was learned
	// Never has the files of clients of which nothing is learned; without patterns there are none.
	Never    listfile.Spec
	Fallback fallback.Options
	Earned   earned.Options
	// ObserveFor is for how long logs must have been followed until mode = "enforce" of a fallback list counts.
	ObserveFor time.Duration
	Watch      []string // paths or patterns of files of the mail server; a change stops learning for a while
}

// DefaultLearnState is the default path of the state file of [learn].
const DefaultLearnState = "/var/lib/ehlogate/learned.db"

func defaultLearn() Learn {
	return Learn{State: DefaultLearnState, Fallback: fallback.Defaults(), Earned: earned.Defaults(), ObserveFor: 7 * day, Watch: []string{
		"/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/mail/sendmail.cf", "/etc/exim4/exim4.conf", "/etc/exim4/update-exim4.conf.conf",
		"/etc/exim4/exim4.conf.template", "/etc/ssl/openssl.cnf", "/usr/lib/*/libssl.so.*", "/usr/lib/*/libgnutls.so.*", "/etc/letsencrypt/live/*/fullchain.pem",
		// Those of RPM systems.
		"/etc/exim/exim.conf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies/back-ends/*.config", "/usr/lib64/libssl.so.*", "/usr/lib64/libgnutls.so.*"}}
}

const (
	day = 24 * time.Hour
	// maxLearnTime is the longest time in [fallback] and [earned].
	maxLearnTime = 3660 * day
)

// IsLearned reports whether the list is filled from logs.
func (l *List) IsLearned() bool { return l.Learn != "" }

// IsOfFiles reports whether the list has files.
func (l *List) IsOfFiles() bool { return !l.IsLearned() && !l.IsDNSList() }

// Learns reports whether a list learns.
func (c *Config) Learns() bool {
	return slices.ContainsFunc(c.Lists, func(l List) bool { return l.IsLearned() })
}

// FindLearned returns the name of the list of a kind and an action, the first if action is NoAction; "" if there is none.
func (c *Config) FindLearned(kind LearnKind, action lists.Action) string {
	for _, l := range c.Lists {
		if l.Learn == kind && (action == lists.NoAction || l.Action == action) {
			return l.Name
		}
	}
	return ""
}

// parseLearned reads the keys of a list that learns.
func (p *parser) parseLearned(r *rawList, path string, l *List, c *Config) {
	kind := LearnKind(*r.Learn)
	actions := map[LearnKind][]lists.Action{LearnFallback: {lists.Suppress, lists.Legacy}, LearnEarned: {lists.Offer}}[kind]
	switch {
	case actions == nil:
		p.addProblem(path+".learn", fmt.Sprintf("unknown value %q of learn", *r.Learn), `write "fallback" (clients that cannot do TLS) or "earned" (clients that deliver mail which is accepted)`)
	case r.Action != nil && !slices.Contains(actions, l.Action):
		p.addProblem(path+".action", fmt.Sprintf("learn = %q is not possible with action = %q", kind, *r.Action), `write action = "`+joinActions(actions)+`"`)
	default:
		l.Learn = kind
	}
	if r.Mode == nil && kind == LearnFallback {
		l.Mode = lists.Observe
	}
	for _, k := range []struct {
		key   string
		there bool
	}{{"files", len(r.Files) > 0}, {"zones", len(r.Zones) > 0}, {"hide", len(r.Hide) > 0}, {"services", len(r.Services) > 0}, {"allow_wide", r.AllowWide}, {"format", r.Format != nil},
		{"results", len(r.Results) > 0}, {"answer", r.Answer != nil}, {"min_entries", r.MinEntries != nil}, {"expire_after", r.ExpireAfter != nil}, {"threshold", r.Threshold != nil}} {
		if k.there {
			p.addProblem(path+"."+k.key, k.key+" is not for lists that learn", "remove it: the logs fill such a list; write a list of its own for other entries")
		}
	}
	for _, other := range c.Lists {
		if l.IsLearned() && other.Learn == l.Learn && other.Action == l.Action {
			p.addProblem(path+".learn", fmt.Sprintf("list %q is the same: learn = %q, action = %q", other.Name, l.Learn, l.Action), "remove one of the two")
		}
	}
}

func joinActions(actions []lists.Action) string {
	var words []string
	for _, a := range actions {
		words = append(words, a.String())
	}
	return strings.Join(words, `" or "`)
}

// parseLearn reads [learn], [fallback] and [earned].
func (p *parser) parseLearn(r *raw, c *Config) {
	l := &c.Learn
	if s := r.Learn.State; s != nil {
		if !filepath.IsAbs(*s) {
			p.addProblem("learn.state", fmt.Sprintf("%q is not an absolute path", *s), fmt.Sprintf("write a path such as %q: it takes days to learn again", l.State))
		}
		l.State = *s
	}
	if len(r.Learn.Never) > 0 {
		l.Never = listfile.Spec{MaxEntries: c.MaxEntries, Rules: listfile.Rules{Action: lists.Offer, AllowWide: true}}
	}
	p.parsePatterns(r.Learn.Never, "learn.never", &l.Never)
	p.parseFallback(&r.Fallback, l)
	p.parseEarned(&r.Earned, &l.Earned)
	l.Fallback.Legacy = c.FindLearned(LearnFallback, lists.Legacy) != ""
	l.Fallback.Suppress = c.FindLearned(LearnFallback, lists.Suppress) != ""
	if c.Logs.IsEmpty() {
		for i := range c.Lists {
			if l := &c.Lists[i]; l.IsLearned() {
				p.addProblem(fmt.Sprintf("list[%d].learn", i), fmt.Sprintf("list %q learns from logs, and [logs] names none", l.Name), `write files = ["/var/log/mail.log"] or journal = true in [logs]`)
			}
		}
	}
}

func (p *parser) parseFallback(r *rawFallback, l *Learn) {
	o := &l.Fallback
	p.parseCount(r.Sessions, "fallback.sessions", 2, &o.Sessions)
	p.parseShare(r.MaxShare, "fallback.max_share", &o.MaxShare)
	p.parseShare(r.BreakerShare, "fallback.breaker_share", &o.BreakerShare)
	p.parseCount(r.ProbeSessions, "fallback.probe_sessions", 2, &o.ProbeSessions)
	p.parseCount(r.UnusedSessions, "fallback.unused_sessions", 1, &o.UnusedSessions)
	p.parseCount(r.MinSessions, "fallback.min_sessions", 0, &o.MinSessions)
	p.parseCount(r.MaxEntries, "fallback.max_entries", 1, &o.MaxEntries)
	p.parseCount(r.BreakerClients, "fallback.breaker_clients", 2, &o.BreakerClients)
	for _, d := range []struct {
		key  string
		text *string
		into *time.Duration
	}{
		{"spacing", r.Spacing, &o.Spacing}, {"span", r.Span, &o.Span}, {"max_age", r.MaxAge, &o.MaxAge}, {"leave_alone", r.LeaveAlone, &o.LeaveAlone},
		{"immunity", r.Immunity, &o.Immunity}, {"neighbors", r.Neighbors, &o.Neighbors}, {"life", r.Life, &o.Life}, {"max_life", r.MaxLife, &o.MaxLife},
		{"total_life", r.TotalLife, &o.TotalLife}, {"probe_after", r.ProbeAfter, &o.ProbeAfter}, {"breaker_span", r.BreakerSpan, &o.BreakerSpan},
		{"rest", r.Rest, &o.Rest}, {"observe_for", r.ObserveFor, &l.ObserveFor},
	} {
		p.parseDuration(d.text, "fallback."+d.key, time.Second, maxLearnTime, d.into)
	}
	for _, order := range []struct {
		less, more     string
		least, greater time.Duration
	}{{"span", "max_age", o.Span, o.MaxAge}, {"spacing of all sessions", "max_age", time.Duration(o.Sessions-1) * o.Spacing, o.MaxAge}, {"life", "max_life", o.Life, o.MaxLife}, {"max_life", "total_life", o.MaxLife, o.TotalLife}} {
		if order.least > order.greater {
			p.addProblem("fallback."+strings.Fields(order.less)[0], fmt.Sprintf("%s (%s) is greater than %s (%s)", order.less, formatDuration(order.least), order.more, formatDuration(order.greater)),
				"set both, the first to the smaller value")
		}
	}
	if r.Watch != nil {
		l.Watch = nil
	}
	for i, name := range r.Watch {
		at := fmt.Sprintf("fallback.watch[%d]", i)
		if _, err := filepath.Match(name, "x"); err != nil || !filepath.IsAbs(name) {
			p.addProblem(at, fmt.Sprintf("%q is not an absolute path", name), `write the whole path of a file of the mail server, such as "/etc/postfix/main.cf"; it may contain *`)
		}
		l.Watch = append(l.Watch, name)
	}
}

func (p *parser) parseEarned(r *rawEarned, o *earned.Options) {
	p.parseCount(r.Days, "earned.days", 1, &o.Days)
	p.parseCount(r.Sessions, "earned.sessions", 1, &o.Sessions)
	p.parseCount(r.MaxClients, "earned.max_clients", 1, &o.MaxClients)
	p.parseShare(r.MaxRejects, "earned.max_rejects", &o.MaxRejects)
	p.parseDuration(r.Keep, "earned.keep", time.Second, maxLearnTime, &o.Keep)
	of := time.Duration(o.Of) * day
	p.parseDuration(r.Of, "earned.of", day, earned.MaxOf*day, &of)
	if o.Of = int(of / day); of%day != 0 {
		p.addProblem("earned.of", fmt.Sprintf("%q is not a number of days", *r.Of), `write whole days, as in "30d"`)
	}
	if o.Days > o.Of && of%day == 0 {
		p.addProblem("earned.days", fmt.Sprintf("days (%d) is greater than of (%dd)", o.Days, o.Of), "set both: days with mail, of so many")
	}
}

// parseShare reads a part of a whole, if the key is set.
func (p *parser) parseShare(n *float64, path string, into *float64) {
	if n == nil {
		return
	}
	if !(*n >= 0 && *n <= 1) {
		p.addProblem(path, fmt.Sprintf("invalid share %v", *n), "write a number from 0 to 1, such as 0.02 for 2 %")
	}
	*into = *n
}

// parsePatterns reads the names of list files.
func (p *parser) parsePatterns(names []string, path string, into *listfile.Spec) {
	for i, f := range names {
		if _, err := filepath.Match(f, "x"); err != nil || f == "" {
			p.addProblem(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("invalid file name or pattern %q", f), "for a [ in a file name write \\\\[")
		} else if r, ok := findRepair(fileRepairs, f); ok {
			p.addProblem(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("invalid file name %q: %s", f, r.msg), r.hint)
		}
		if !filepath.IsAbs(f) {
			f = filepath.Join(filewatch.EscapeGlob(p.dir), f)
		}
		into.Patterns = append(into.Patterns, f)
	}
}
