// Package explain reports the decision for a client, the reason, and the reply of each protocol, which it gets from the
// protocols themselves.
package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists"
	"ehlogate/lists/secret"
	"ehlogate/lists/tlspolicy"
	"ehlogate/policyd"
)

// Report is a decision in the form that "ehlogate explain" and /api/v1/decision show.
type Report struct {
	Source     string        `json:"source"` // FromDaemon or FromDisk
	Client     Client        `json:"client"`
	Decision   VerdictText   `json:"decision"`             // about STARTTLS
	Would      *VerdictText  `json:"would,omitempty"`      // takes effect once mode is no longer "observe"
	Hide       []string      `json:"hide,omitempty"`       // EHLO keywords that are hidden besides STARTTLS, on port 25
	Hidden     []HiddenText  `json:"hidden,omitempty"`     // the lists that hide keywords, or would
	Observed   []VerdictText `json:"observed,omitempty"`   // verdicts of lists that observe
	Overridden []VerdictText `json:"overridden,omitempty"` // suppressions that the guard keeps from taking effect
	Exceptions []VerdictText `json:"exceptions,omitempty"` // lists that do not match because of an exception
	Queries    []Queries     `json:"queries,omitempty"`    // DNS queries
	Guard      *GuardStatus  `json:"guard,omitempty"`      // absent: the config has no guard
	Shared     *Shared       `json:"shared,omitempty"`     // clients may share the address, and should not share the decision
	// Pressure is what sets the limit by the CPU; absent: nothing does, or the limit does not decide, or Source is FromDisk.
	Pressure *cpupressure.Status `json:"pressure,omitempty"`
	Answers  []Answer            `json:"answers,omitempty"` // replies of the protocols
	// Logs is what the logs of [logs] tell of the client; absent: there are none, or Source is FromDisk.
	Logs *logs.ClientReport `json:"logs,omitempty"`
	// Learned is what lists learned of the client; absent: no list learns, or Source is FromDisk.
	Learned *learn.ClientReport `json:"learned,omitempty"`
	// LearnedError is why it is not known.
	LearnedError string `json:"learned_error,omitempty"`

	SourceReason string               `json:"source_reason,omitempty"` // why Source is FromDisk
	Without      []string             `json:"without,omitempty"`       // lists that Source lacks if it is FromDisk, and why
	Daemon       *running.Status      `json:"daemon,omitempty"`        // if Source is FromDaemon
	Disk         *DiskDecision        `json:"disk,omitempty"`          // what the files on disk say; absent in /api/v1/decision
	Differences  []running.Difference `json:"differences,omitempty"`   // between the daemon and the files on disk
}

// Client is lists.Client for output.
type Client struct {
	Addr string `json:"addr,omitempty"`
	Name string `json:"name,omitempty"`
	HELO string `json:"helo,omitempty"`
}

// VerdictText is lists.Verdict for output.
type VerdictText struct {
	Action lists.Action `json:"action"`
	Reason lists.Reason `json:"reason"`
	List   string       `json:"list,omitempty"`
	Entry  string       `json:"entry,omitempty"`
	File   string       `json:"file,omitempty"`
	Line   int          `json:"line,omitempty"`
	Until  time.Time    `json:"until,omitzero"`
	Note   string       `json:"note,omitempty"`
}

// HiddenText is what a list hides besides STARTTLS.
type HiddenText struct {
	Service  lists.Service `json:"service"`
	Keywords []string      `json:"keywords"`
	Observed bool          `json:"observed,omitempty"` // it has no effect
	VerdictText
}

// Queries are the DNS queries of a list, or of the lookup of the client's host name (then List is "").
type Queries struct {
	List  string            `json:"list,omitempty"`
	Steps []lists.TraceStep `json:"steps"`
}

// GuardStatus is the state of [guard].
type GuardStatus struct {
	Active bool   `json:"active"`
	Why    string `json:"why"`
}

// Shared is about an address that a proxy, a NAT or the bridge of a container may have put in place of the client's.
type Shared struct {
	Share float64 `json:"share,omitempty"` // of the last sessions; 0: few, or not known
	Names int     `json:"names,omitempty"` // HELO names within ten minutes, about; 0: few, or not known
}

// Answer is the reply of one protocol, and what the mail server does then.
type Answer struct {
	Protocol string `json:"protocol"`
	Query    string `json:"query"`
	Reply    string `json:"reply"`
	Effect   string `json:"effect"`
}

// DependsOnLimit reports whether the limit decides, or would.
func (r *Report) DependsOnLimit() bool {
	isLimit := func(v *VerdictText) bool {
		return v != nil && (v.Reason == lists.ReasonLimit || v.Reason == lists.ReasonPressure)
	}
	return isLimit(&r.Decision) || isLimit(r.Would) || slices.ContainsFunc(r.Overridden, func(v VerdictText) bool { return isLimit(&v) })
}

// dnsQueries returns the DNS queries about a client, from the cache.
func dnsQueries(c lists.Client, p *lists.Policy) (out []Queries) {
	add := func(list string, from any) {
		if t, ok := from.(lists.Tracer); ok {
			if steps := t.Trace(c); len(steps) > 0 {
				out = append(out, Queries{list, steps})
			}
		}
	}
	wanted := slices.ContainsFunc(p.Lists, func(l *lists.List) bool {
		u, ok := l.Source.(lists.NameUser)
		return ok && u.UsesNames()
	})
	if c.Name == "" && p.Names != nil && wanted {
		add("", p.Names)
		if name := p.Names.Verify(c.Addr, lists.First); name.Status == lists.Matched {
			c.Name = name.Name
		} else if name.Status != lists.NoMatch {
			c.NameStatus = name.Status
		}
	}
	for _, l := range p.Lists {
		add(l.Name, l.Source)
	}
	return out
}

// ParseClient parses a client as a user writes it. name and helo may be "".
func ParseClient(addr, name, helo string) (c lists.Client, err error) {
	if c.Addr, err = lists.ParseAddr(addr); err != nil {
		return c, fmt.Errorf("%w: write the address of a client, as in 192.0.2.7; names are not looked up", err)
	}
	for _, s := range []string{name, helo} {
		if strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
			return c, fmt.Errorf("invalid host name %q: it has spaces or characters other than printable ASCII", s)
		}
	}
	c.Name, c.HELO = lists.NormalizeName(name), lists.NormalizeName(helo)
	return c, nil
}

func newVerdictText(v lists.Verdict) VerdictText {
	return VerdictText{Action: v.Action, Reason: v.Reason, List: v.ListName()}.withEntry(v.Entry())
}

func (v VerdictText) withEntry(e lists.Entry) VerdictText {
	v.Entry, v.File, v.Line, v.Note, v.Until = e.Text, e.File, e.Line, secret.MaskText(e.Note), e.Until // a note may say how its list was fetched
	return v
}

// NewReport returns a full report for a client with an address.
func NewReport(ctx context.Context, c lists.Client, p *lists.Policy, values *policyd.Values) Report {
	known := make(map[lists.Client]lists.Decision) // so that DNS lists are waited for once
	review := func(ctx context.Context, c lists.Client) lists.Decision {
		d, ok := known[c]
		if !ok {
			d = p.Review(ctx, c)
			known[c] = d
		}
		return d
	}
	d := review(ctx, c)
	r := Report{Client: Client{c.Addr.String(), c.Name, c.HELO}, Decision: newVerdictText(d.Verdict), Queries: dnsQueries(c, p)}
	would, observing := d.WithoutObserve()
	if lists.MayBeShared(c.Addr) && would.Restricts() {
		r.Shared = new(Shared)
	}
	if d.Reason == lists.ReasonObserve {
		r.Would = new(newVerdictText(would))
	}
	for _, v := range observing {
		if v.Overridden {
			r.Overridden = append(r.Overridden, newVerdictText(v))
		} else {
			r.Observed = append(r.Observed, newVerdictText(v))
		}
	}
	if g, ok := p.Guard.(*tlspolicy.Monitor); ok {
		st := g.Report()
		r.Guard = &GuardStatus{st.Active, st.Why}
	}
	for _, l := range p.Lists {
		if _, isDNS := l.Source.(lists.Tracer); isDNS {
			continue // it has no exceptions, and a query would be sent for nothing
		}
		if found := l.Source.Lookup(c); found.Status == lists.Exception {
			v := VerdictText{Action: l.Action, Reason: lists.ReasonListed, List: l.Name}
			r.Exceptions = append(r.Exceptions, v.withEntry(found.Entry(c.Addr)))
		}
	}
	r.Hide = slices.Collect(d.Hide().All())
	r.addHidden(lists.SMTP, &d)
	submission := c
	submission.Service = lists.Submission
	onSubmission := review(ctx, submission)
	r.addHidden(lists.Submission, &onSubmission)
	r.addAnswers(ctx, c, p, policyd.Backend{Decider: lists.DeciderFunc(review), Values: func(lists.Decision) *policyd.Values { return values }, Fault: func(string, []byte) {}})
	return r
}
