package listedit

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/printable"
)

// Text returns the effect of a plan in lines.
func (p *Plan) Text() string {
	var b strings.Builder
	if p.Unknown != "" {
		fmt.Fprintf(&b, "effect not shown: %s\n", printable.Escape(p.Unknown))
	} else if len(p.Changes) == 0 {
		b.WriteString("no change: no entry is cut or written\n")
	} else if len(p.Changes) == 1 {
		c := p.Changes[0]
		subject := p.Subject
		if subject == "" {
			subject = c.describeClients()
		}
		fmt.Fprintf(&b, "%s: %s%s", subject, c, p.explainNone(c))
		if p.Subject != "" && c.names == 0 && c.Addresses.Cmp(big.NewInt(1)) > 0 {
			fmt.Fprintf(&b, " (%s addresses)", formatCount(c.Addresses))
		}
		b.WriteString("\n")
	} else {
		if p.Subject != "" {
			fmt.Fprintf(&b, "%s:\n", p.Subject)
		}
		for _, c := range p.Changes {
			fmt.Fprintf(&b, "  %s: %s%s\n", c.describeClients(), c, p.explainNone(c))
		}
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "  %s\n", p.Hint)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "  not taken into account: %s\n", note)
	}
	return b.String()
}

// explainNone returns why nothing changes for the first of some clients; "" if something does.
func (p *Plan) explainNone(c *Change) string {
	if !c.IsNone() {
		return ""
	}
	client := lists.Client{}
	if len(c.Ranges) > 0 {
		client.Addr = c.Ranges[0].From()
	} else {
		for i := range p.Items {
			if it := &p.Items[i]; it.Kind != iptable.Address {
				client = probe(it)
				break
			}
		}
	}
	_, was := p.policies.before.decide(client)
	_, v := p.policies.after.decide(client)
	if action, matches := p.policies.after.would(client, p.list.Name); matches && v.ListName() != p.list.Name {
		if p.list.Mode == lists.Observe || p.policies.after.Mode == lists.Observe {
			return fmt.Sprintf(": it would be %s, but mode = \"observe\"", action)
		}
	}
	switch {
	case v.ListName() == "" || v.Reason == lists.ReasonUnavailable:
		return fmt.Sprintf(": %s, since %s", c.After, c.After.explain(v))
	case v.ListName() != p.list.Name:
		return fmt.Sprintf(": list %q decides first, %s", v.ListName(), describeEntry(v.Entry()))
	case was.ListName() == p.list.Name:
		return fmt.Sprintf(": %s, by %s", c.After, describeEntry(v.Entry()))
	case was.ListName() == "":
		return fmt.Sprintf(": %s by default before", c.Before)
	}
	return fmt.Sprintf(": %s before, by list %q, %s", c.Before, was.ListName(), describeEntry(was.Entry()))
}

// describeClients returns for which clients something changes.
func (c *Change) describeClients() string {
	var parts []string
	if c.Addresses.Sign() > 0 {
		var shown []string
		for _, r := range c.Ranges {
			shown = append(shown, formatRange(r))
		}
		text := strings.Join(shown, ", ")
		if one := c.Addresses.Cmp(big.NewInt(1)) == 0; !one {
			text = fmt.Sprintf("%s addresses (%s)", formatCount(c.Addresses), text)
		}
		parts = append(parts, text)
	}
	if c.names > 0 {
		text := strings.Join(c.Names, ", ")
		if c.names > len(c.Names) {
			text = fmt.Sprintf("%d names (%s, ...)", c.names, text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " and ")
}

func formatRange(r netipx.IPRange) string {
	switch p, ok := r.Prefix(); {
	case r.From() == r.To():
		return r.From().String()
	case ok:
		return p.String()
	}
	return r.From().String() + "-" + r.To().String()
}

// formatCount returns a number of addresses; one that no operator counts as a power of two.
func formatCount(n *big.Int) string {
	switch bits := n.BitLen() - 1; {
	case bits < 34:
		return n.String()
	case n.TrailingZeroBits() == uint(bits):
		return fmt.Sprintf("2^%d", bits)
	default:
		return fmt.Sprintf("more than 2^%d", bits)
	}
}

// describeUntil returns when an entry ends: the last day that it has, or a time.
func describeUntil(t time.Time) string {
	if day, ok := lastDay(t); ok {
		return "through " + day + " (UTC)"
	}
	return "until " + t.UTC().Format(time.RFC3339)
}

// formatUntil returns the end of an entry as a list file has it.
func formatUntil(t time.Time) string {
	if day, ok := lastDay(t); ok {
		return "until=" + day
	}
	return "until=" + t.UTC().Format(time.RFC3339)
}

// lastDay returns the date at the end of which a time is; false if it is none.
func lastDay(t time.Time) (date string, ok bool) {
	t = t.UTC()
	return t.AddDate(0, 0, -1).Format(time.DateOnly), t.Equal(t.Truncate(24 * time.Hour))
}

// Wide returns why a plan is to be confirmed by the operator; "" if it need not.
func (p *Plan) Wide() string {
	if p.record.Command == "prune" { // what has expired has no effect
		return ""
	}
	for i := range p.Items {
		it := &p.Items[i]
		switch {
		case it.Kind != iptable.Address:
			if name := strings.Trim(it.Name, "."); strings.HasPrefix(it.Name, ".") && !strings.Contains(name, ".") {
				return fmt.Sprintf("%s matches very many clients", it)
			}
		case isWide(it.From, it.To):
			return fmt.Sprintf("%s has %s addresses", it, formatCount(sizeOf(netipx.IPRangeFrom(it.From, it.To))))
		}
	}
	if n := p.countChanged(); p.record.Command == "import" && n.BitLen() > maxWidth4 {
		return fmt.Sprintf("it changes something for %s IPv4 addresses", formatCount(n))
	}
	return ""
}

// IsFinal reports whether a plan is to be confirmed since no undo can take it back.
func (p *Plan) IsFinal() bool {
	return p.record.Command == "import" && Record{Hunks: p.Hunks}.IsTooLong()
}

// countChanged returns for how many IPv4 addresses something changes.
func (p *Plan) countChanged() *big.Int {
	n := new(big.Int)
	for _, c := range p.Changes {
		if !c.IsNone() {
			n.Add(n, c.IPv4)
		}
	}
	return n
}

// The widest networks that are changed without a question.
const (
	maxWidth4 = 16
	maxWidth6 = 32
)

func isWide(from, to netip.Addr) bool {
	bits := maxWidth6
	if from.Is4() {
		bits = maxWidth4
	}
	most := new(big.Int).Lsh(big.NewInt(1), uint(from.BitLen()-bits))
	return sizeOf(netipx.IPRangeFrom(from, to)).Cmp(most) > 0
}

// Restricts reports whether some client is offered less than before.
func (p *Plan) Restricts() bool {
	for _, c := range p.Changes {
		if c.After.restricts(c.Before) {
			return true
		}
	}
	return false
}

// Span returns the addresses of the only entry that a plan is about; "" if there are several, or it has none.
func (p *Plan) Span() string {
	if p.Subject == "" || len(p.Items) == 0 || p.Items[0].Kind != iptable.Address {
		return ""
	}
	it := p.Items[0]
	it.Exception = false
	return it.String()
}

// NewNames reports whether the lines that a plan writes have names of hosts, and those of HELO.
func (p *Plan) NewNames() (hosts, helo bool) {
	for _, h := range p.Hunks {
		items, err := itemsOf([]Hunk{{After: h.After}}, p.list.Spec.Rules)
		if err != nil {
			continue // an entry of several lines
		}
		for i := range items {
			hosts = hosts || items[i].Kind == iptable.Name
			helo = helo || items[i].Kind == iptable.HELO
		}
	}
	return hosts, helo
}

// List returns the name of the list that is edited.
func (p *Plan) List() string { return p.list.Name }

// Config returns the config of the lists that are edited.
func (p *Plan) Config() *config.Config { return p.editor.Config }
