package replay

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

// Diff counts the sessions that two policies treat differently.
type Diff struct {
	Sessions       int64          `json:"sessions"`
	Changed        []Change       `json:"changed"`
	ChangedClients int64          `json:"changed_clients"`
	Clients        []ChangeClient `json:"clients"` // --top of them, those with most messages over TLS first
	Interrupted    bool           `json:"interrupted"`
	Notes          []string       `json:"notes"` // on what the log or the policies do not tell

	changes map[Change]*Change
	clients map[netip.Addr]*ChangeClient
}

// Change is a way in which a decision changes. From and To are actions, and what is hidden besides.
type Change struct {
	Service  lists.Service `json:"service"`
	From     string        `json:"from"`
	To       string        `json:"to"`
	FromList string        `json:"from_list,omitempty"`
	ToList   string        `json:"to_list,omitempty"`
	Sessions int64         `json:"sessions"`
	Clients  int64         `json:"clients"`
}

// ChangeClient is a client that is treated differently, as it was last.
type ChangeClient struct {
	Addr        string        `json:"addr"`
	Name        string        `json:"name,omitempty"`
	Service     lists.Service `json:"service"`
	From        string        `json:"from"`
	To          string        `json:"to"`
	Sessions    int64         `json:"sessions"`
	Messages    int64         `json:"messages"`
	TLSMessages int64         `json:"tls_messages"`

	changes []*Change // as part of which it was counted
}

// NewDiff returns an empty Diff.
func NewDiff() *Diff {
	return &Diff{Changed: []Change{}, Clients: []ChangeClient{}, Notes: []string{}, changes: map[Change]*Change{}, clients: map[netip.Addr]*ChangeClient{}}
}

// Add counts a session and both decisions about it.
func (d *Diff) Add(s *maillog.Session, from, to *Verdict) {
	d.Sessions++
	if from.Action == to.Action && from.Hide == to.Hide {
		return
	}
	key := Change{Service: serviceOf(s), From: from.words(), To: to.words(), FromList: from.ListName(), ToList: to.ListName()}
	change := d.changes[key]
	if change == nil {
		copied := key
		change = &copied
		d.changes[key] = change
	}
	change.Sessions++
	c := d.clients[s.Addr]
	if c == nil {
		c = &ChangeClient{Addr: s.Addr.String(), Name: s.Name}
		d.clients[s.Addr] = c
	}
	if !slices.Contains(c.changes, change) {
		c.changes = append(c.changes, change)
		change.Clients++
	}
	c.Service, c.From, c.To = key.Service, key.From, key.To
	c.Sessions++
	c.Messages += int64(s.Messages)
	if s.TLS == maillog.TLSOK {
		c.TLSMessages += int64(s.Messages)
	}
}

// Finish fills Changed, and Clients with at most top of them.
func (d *Diff) Finish(top int) {
	for _, c := range d.changes {
		d.Changed = append(d.Changed, *c)
	}
	slices.SortFunc(d.Changed, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.words(), b.words()), cmp.Compare(a.Service, b.Service))
	})
	d.ChangedClients = int64(len(d.clients))
	for _, c := range d.clients {
		d.Clients = append(d.Clients, *c)
	}
	slices.SortFunc(d.Clients, func(a, b ChangeClient) int {
		return cmp.Or(cmp.Compare(b.TLSMessages, a.TLSMessages), cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Addr, b.Addr))
	})
	d.Clients = d.Clients[:min(len(d.Clients), top)]
}

// Text returns the comparison for a terminal.
func (d *Diff) Text() string {
	var b strings.Builder
	var changed int64
	for _, c := range d.Changed {
		changed += c.Sessions
	}
	fmt.Fprintf(&b, "%s, %s treated differently, of %s\n", plural(d.Sessions, "session"), thousands(changed),
		plural(d.ChangedClients, "client"))
	width := 32
	for _, c := range d.Changed {
		width = max(width, len(c.words()))
	}
	for _, c := range d.Changed {
		fmt.Fprintf(&b, "  %-*s %11s   %s%s\n", width, c.words(), thousands(c.Sessions), plural(c.Clients, "client"), onService(c.Service))
	}
	listClients(&b, "treated differently:", d.Clients, d.ChangedClients, func(c ChangeClient) string {
		return fmt.Sprintf("%s -> %s%s, %s, %s over TLS", c.From, c.To, onService(c.Service), plural(c.Sessions, "session"), plural(c.TLSMessages, "message"))
	})
	writeNotes(&b, d.Notes)
	return b.String()
}

func (c ChangeClient) id() (addr, name string) { return c.Addr, c.Name }

func (c *Change) words() string {
	return withList(c.From, c.FromList) + " -> " + withList(c.To, c.ToList)
}

// onService returns what stands behind a decision about the clients of another service than SMTP.
func onService(s lists.Service) string {
	if s == lists.SMTP {
		return ""
	}
	return " on " + s.String()
}

func withList(action, list string) string {
	if list == "" {
		return action
	}
	return fmt.Sprintf("%s (%s)", action, list)
}

// Diff replaces the addresses and names in a comparison.
func (r *Redactor) Diff(d *Diff) {
	for i := range d.Clients {
		d.Clients[i].Addr, d.Clients[i].Name = r.Addr(d.Clients[i].Addr), r.Name(d.Clients[i].Name)
	}
}
