// Package tlsreport joins TLS reports of other mail servers with the policy and the mail log: did a list hide STARTTLS
// from a client that relied on it?
package tlsreport

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/maillog"
	"ehlogate/lists/tlsrpt"
)

// verifyTimeout is how long the keys of one message may take to look up.
const verifyTimeout = 10 * time.Second

// Report is what was reported, and which of it is about clients that lists suppress. It is documented in ehlogate(8), and
// fields are only ever added.
type Report struct {
	Reports []Source `json:"reports"`
	Clients []Client `json:"clients"`
	Notes   []string `json:"notes,omitempty"`

	last      *tlsrpt.Mail // whose signature was checked last
	signature tlsrpt.Signature
	watched   map[netip.Addr][]int // the clients of an address, by their place in Clients
	domains   []string             // for which this server receives mail; empty: not known
}

// Source is a report.
type Source struct {
	Source    string           `json:"source"`
	Believed  bool             `json:"believed"`
	Signature tlsrpt.Signature `json:"signature"`
	tlsrpt.Report
}

// Client is a client that relied on STARTTLS and did not see it, by one report.
type Client struct {
	Source     string     `json:"source"`
	Believed   bool       `json:"believed"`
	Addr       netip.Addr `json:"addr"`
	Sender     string     `json:"sender"` // the domain that signed the report, or the name that an unsigned one claims
	Domain     string     `json:"domain"`
	MX         string     `json:"mx,omitempty"`
	Sessions   int64      `json:"sessions"`
	ReportID   string     `json:"report_id"`
	Start      time.Time  `json:"start,omitzero"`
	End        time.Time  `json:"end,omitzero"`
	Action     string     `json:"action"`
	Reason     string     `json:"reason"`
	List       string     `json:"list,omitempty"`
	Entry      string     `json:"entry,omitempty"`
	File       string     `json:"file,omitempty"`
	Line       int        `json:"line,omitempty"`
	Note       string     `json:"note,omitempty"`
	Overridden bool       `json:"overridden,omitempty"` // a list would suppress it, and the guard does not let it now
	Log        *Sessions  `json:"log,omitempty"`        // nil: no log was read

	external bool // the list is of another publisher
}

// IsSuppressed reports whether STARTTLS was hidden from the client by the lists on disk, or by the default.
func (c *Client) IsSuppressed() bool { return c.Action == lists.Suppress.String() }

// SetDomains names the domains for which this server receives mail. Reports about others are not believed.
func (r *Report) SetDomains(domains []string) { r.domains = domains }

// New returns a Report without reports.
func New() *Report {
	return &Report{Reports: []Source{}, Clients: []Client{}, watched: map[netip.Addr][]int{}}
}

// Add adds a report, and checks the signature of its sender.
func (r *Report) Add(ctx context.Context, item tlsrpt.Item, resolver dnsclient.Resolver, now time.Time) {
	if len(r.Reports) == 0 || r.last != item.Mail {
		ctx, stop := context.WithTimeout(ctx, verifyTimeout)
		r.last, r.signature = item.Mail, item.Mail.Verify(ctx, resolver)
		stop()
	}
	s := Source{item.Source, r.signature.Result == tlsrpt.Pass, r.signature, *item.Report}
	sender := s.Organization
	if s.Believed {
		sender = r.signature.Domain
	}
	if s.Believed && s.Start.After(now) {
		s.Believed = false
		r.Notes = append(r.Notes, fmt.Sprintf("%s: the report is about the future: it is not believed", s.Source))
	}
	r.Reports = append(r.Reports, s)
	r.addClients(&s, sender)
}

// addClients adds the clients that did not see STARTTLS by a report, each once for each domain.
func (r *Report) addClients(s *Source, sender string) {
	type key struct {
		addr   netip.Addr
		domain string
	}
	seen := map[key]int{}
	for _, p := range s.Policies {
		believed := s.Believed
		if len(r.domains) > 0 && !slices.Contains(r.domains, lists.NormalizeName(p.Domain)) {
			if believed = false; s.Believed && len(p.Details) > 0 {
				r.Notes = append(r.Notes, fmt.Sprintf("%s: %q is not one of [guard] domains: what is said about its mail is not believed", s.Source, p.Domain))
			}
		}
		for _, d := range p.Details {
			if d.Result != tlsrpt.ResultNoSTARTTLS || !d.Sender.IsValid() {
				continue
			}
			k := key{d.Sender, p.Domain}
			if i, ok := seen[k]; ok {
				r.Clients[i].Sessions += d.Sessions
				continue
			}
			seen[k] = len(r.Clients)
			r.watched[d.Sender] = append(r.watched[d.Sender], len(r.Clients))
			r.Clients = append(r.Clients, Client{Source: s.Source, Believed: believed, Addr: d.Sender, Sender: sender, Domain: p.Domain, MX: d.MX, Sessions: d.Sessions,
				ReportID: s.ID, Start: s.Start, End: s.End})
		}
	}
}

// Decider decides about a client at a time.
type Decider interface {
	DecideAt(ctx context.Context, at time.Time, c lists.Client) lists.Decision
}

// Decide finds out which clients are suppressed, at the beginning or at the end of the time that a report is about. A
// report without a time is taken for one of now.
func (r *Report) Decide(ctx context.Context, policy Decider, now time.Time) {
	for i := range r.Clients {
		c := &r.Clients[i]
		times := []time.Time{c.Start, c.End}
		if c.Start.IsZero() {
			times = []time.Time{now}
		}
		for _, at := range times {
			c.decide(policy.DecideAt(ctx, at, lists.Client{Addr: c.Addr}))
		}
	}
}

// decide takes what a decision tells, unless an earlier one told more.
func (c *Client) decide(d lists.Decision) {
	if c.IsSuppressed() {
		return
	}
	v := d.Verdict
	overridden := false
	if v.Action != lists.Suppress {
		for _, o := range d.Observed {
			if o.Overridden && !overridden {
				v, overridden = o, true
			}
		}
	}
	if c.Action != "" && v.Action != lists.Suppress {
		return
	}
	c.external = v.List != nil && v.List.External
	e := v.Entry()
	c.Action, c.Reason, c.List, c.Overridden = d.Action.String(), v.Reason.String(), v.ListName(), overridden
	c.Entry, c.File, c.Line, c.Note = e.Text, e.File, e.Line, e.Note
}

// AddSession counts a session of a log, and decides about it with the name that the mail server verified.
func (r *Report) AddSession(ctx context.Context, policy Decider, s *maillog.Session) {
	if !s.IsPort25() {
		return
	}
	for _, i := range r.watched[s.Addr] {
		c := &r.Clients[i]
		if s.Time.IsZero() || c.Start.IsZero() || s.End.Before(c.Start) || s.Time.After(c.End) {
			continue
		}
		c.Log.add(s)
		if s.Name != "" {
			c.decide(policy.DecideAt(ctx, s.Time, lists.Client{Addr: s.Addr, Name: s.Name, HELO: lists.NormalizeName(s.HELO)}))
		}
	}
}

// WatchLog prepares for AddSession.
func (r *Report) WatchLog() {
	for i := range r.Clients {
		r.Clients[i].Log = &Sessions{}
	}
}

// Harmed returns the clients of believed reports that the policy suppresses.
func (r *Report) Harmed() (all []Client) {
	for _, c := range r.Clients {
		if c.Believed && c.IsSuppressed() {
			all = append(all, c)
		}
	}
	return all
}

// Findings returns what the daemon is to know: the clients of believed reports of the last week. Those that no list on disk
// suppresses are among them, since a learned list of the daemon may have.
func (r *Report) Findings(now time.Time) (all []tlsrpt.Finding) {
	for _, c := range r.Clients {
		if !c.Believed || c.Start.IsZero() || c.End.Add(tlsrpt.Keep).Before(now) {
			continue
		}
		f := tlsrpt.Finding{Address: c.Addr, Sessions: c.Sessions, Organization: c.Sender, Domain: c.Domain, ReportID: c.ReportID, Start: c.Start, End: c.End}
		if c.IsSuppressed() {
			f.Reason, f.List, f.Entry, f.File, f.Line = c.Reason, c.List, c.Entry, c.File, c.Line
		}
		all = append(all, f)
	}
	return all
}

// IsUnknown reports whether the key of a sender could not be looked up, which may be possible later.
func (r *Report) IsUnknown() bool {
	for _, s := range r.Reports {
		if s.Signature.Result == tlsrpt.Unknown {
			return true
		}
	}
	return false
}
