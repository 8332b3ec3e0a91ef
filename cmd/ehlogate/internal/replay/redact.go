package replay

import (
	"fmt"
	"net/netip"
	"strings"

	"ehlogate/lists/maillog"
)

// Redactor replaces addresses and names by others that tell nothing, each always by the same, so that a report can be
// published. The zero Redactor of nil replaces nothing.
type Redactor struct {
	addrs map[string]string
	names map[string]string
}

// NewRedactor returns a Redactor.
func NewRedactor() *Redactor {
	return &Redactor{addrs: map[string]string{}, names: map[string]string{}}
}

// Addr returns what stands for an address: one of 240.0.0.0/4 or 2001:db8::/32, which no client has.
func (r *Redactor) Addr(s string) string {
	if r == nil || s == "" {
		return s
	}
	out, ok := r.addrs[s]
	if !ok {
		n := uint32(len(r.addrs) + 1)
		a := netip.AddrFrom4([4]byte{240 | byte(n>>24)&7, byte(n >> 16), byte(n >> 8), byte(n)})
		if strings.Contains(s, ":") {
			a = netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0x0d, 3: 0xb8, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)})
		}
		out = a.String()
		r.addrs[s] = out
	}
	return out
}

// Name returns what stands for a name.
func (r *Redactor) Name(s string) string {
	if r == nil || s == "" {
		return s
	}
	out, ok := r.names[s]
	if !ok {
		out = fmt.Sprintf("host%d.example", len(r.names)+1)
		r.names[s] = out
	}
	return out
}

// Service returns what stands for a service. One that is not usual has a name that the operator chose, such as that of a host.
func (r *Redactor) Service(s string) string {
	switch s {
	case maillog.ServiceSMTP, maillog.ServiceSubmission, maillog.ServiceSubmissions:
		return s
	}
	if strings.Trim(s, "0123456789") == "" { // a port
		return s
	}
	return r.Name(s)
}

// Report replaces the addresses and names in a report.
func (r *Redactor) Report(report *Report) {
	for _, clients := range [][]Client{report.Suppressed.TLSMail.Top, report.Incapable, report.Rejecting} {
		for i := range clients {
			clients[i].Addr, clients[i].Name = r.Addr(clients[i].Addr), r.Name(clients[i].Name)
		}
	}
	for _, l := range []*LearnedReport{report.Fallback, report.Earned} {
		for i := 0; l != nil && i < len(l.Top); i++ {
			c := &l.Top[i]
			c.Addr, c.Name, c.Reason = r.Addr(c.Addr), r.Name(c.Name), "" // which may name a neighbor
		}
	}
}
