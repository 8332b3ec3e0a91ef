package dnstest

import (
	"crypto"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// Zone has the records that a [Server] serves below a name. It is written as a master file (RFC 1035 section 5) and may
// change while it is served.
type Zone struct {
	name string // canonical
	key  *dns.DNSKEY
	sign crypto.Signer

	mu        sync.Mutex
	sets      map[string]sets // by canonical owner
	view      atomic.Pointer[view]
	authentic atomic.Bool
}

// sets are the records of an owner, by type.
type sets map[uint16][]dns.RR

// NewZone parses a zone. Names in text may be relative to it. Records without a TTL have 60 seconds. A zone without an
// SOA record gets one, by which resolvers cache absence for 30 seconds.
func NewZone(t testing.TB, name, text string) *Zone {
	t.Helper()
	z := &Zone{name: dns.CanonicalName(name), sets: make(map[string]sets)}
	z.Set(t, text)
	return z
}

// Name returns the name of the zone, with the last dot.
func (z *Zone) Name() string { return z.name }

// Anchor returns the DS record by which a validating resolver trusts the zone (RFC 4034 section 5), empty if it is not
// signed.
func (z *Zone) Anchor() string {
	if z.key == nil {
		return ""
	}
	return z.key.ToDS(dns.SHA256).String()
}

// SetAuthentic sets the AD bit of answers from the zone, as if the server were a resolver that has validated them.
func (z *Zone) SetAuthentic(on bool) { z.authentic.Store(on) }

// Set adds records. They replace those of the same name and type.
func (z *Zone) Set(t testing.TB, text string) {
	t.Helper()
	fresh := make(map[string]sets)
	p := dns.NewZoneParser(strings.NewReader(text), z.name, "")
	p.SetDefaultTTL(60)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		h := rr.Header()
		if h.Name = dns.CanonicalName(h.Name); !dns.IsSubDomain(z.name, h.Name) {
			t.Fatalf("%s is not below %s", h.Name, z.name)
		}
		if fresh[h.Name] == nil {
			fresh[h.Name] = make(sets)
		}
		fresh[h.Name][h.Rrtype] = append(fresh[h.Name][h.Rrtype], rr)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("zone %s: %v", z.name, err)
	}
	z.change(t, func() {
		for name, some := range fresh {
			if z.sets[name] == nil {
				z.sets[name] = make(sets)
			}
			maps.Copy(z.sets[name], some)
		}
	})
}

// Remove removes the records of these types, or all, from a name, which may be relative to the zone. The name goes with
// its last record.
func (z *Zone) Remove(t testing.TB, name string, types ...uint16) {
	t.Helper()
	if name == "@" {
		name = z.name
	} else if !dns.IsFqdn(name) {
		name += "." + strings.TrimPrefix(z.name, ".")
	}
	name = dns.CanonicalName(name)
	z.change(t, func() {
		for _, one := range types {
			delete(z.sets[name], one)
		}
		if len(types) == 0 || len(z.sets[name]) == 0 {
			delete(z.sets, name)
		}
	})
}

// change calls do, which changes the records, and then serves them.
func (z *Zone) change(t testing.TB, do func()) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	do()
	v, err := z.build()
	if err != nil {
		t.Fatalf("zone %s: %v", z.name, err)
	}
	z.view.Store(v)
}

// view is a zone as it is served; it never changes.
type view struct {
	nodes map[string]*node
	above map[string]bool // names that have only others below them
	soa   *dns.SOA
	order []*node // as NSEC records go (RFC 4034 section 6.1), if the zone is signed
}

// node is a name and its records.
type node struct {
	name    string
	sortKey string // by which order is sorted
	sets    sets
	sigs    map[uint16]*dns.RRSIG // if the zone is signed
	nsec    *dns.NSEC
}

func (z *Zone) build() (*view, error) {
	v := &view{nodes: make(map[string]*node, len(z.sets)), above: make(map[string]bool)}
	for name, some := range z.sets {
		n := &node{name: name, sets: maps.Clone(some)}
		v.nodes[name] = n
		for up := name; up != z.name; {
			off, _ := dns.NextLabel(up, 0)
			if up = dns.Fqdn(up[off:]); v.above[up] {
				break
			}
			v.above[up] = true
		}
	}
	apex := v.nodes[z.name]
	if apex == nil {
		apex = &node{name: z.name, sets: make(sets)}
		v.nodes[z.name] = apex
	}
	if len(apex.sets[dns.TypeSOA]) == 0 {
		apex.sets[dns.TypeSOA] = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: z.name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
			Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 30,
		}}
	}
	v.soa = apex.sets[dns.TypeSOA][0].(*dns.SOA)
	if z.key == nil {
		return v, nil
	}
	return v, z.signAll(v)
}

// answerQuery returns the answer section and the authority section, which says why there is no answer and proves that.
func (v *view) answerQuery(name string, qtype uint16, signatures bool) (answer, authority []dns.RR, rcode int) {
	out := collector{view: v, signatures: signatures}
	for range 8 {
		name = dns.CanonicalName(name)
		n, as := v.nodes[name], ""
		if n == nil && !v.above[name] {
			// RFC 4592: a wildcard below the closest name that exists.
			near := name
			for v.nodes[near] == nil && !v.above[near] {
				off, end := dns.NextLabel(near, 0)
				if near = dns.Fqdn(near[off:]); end {
					break
				}
			}
			out.addProof(name)
			wild := "*." + strings.TrimPrefix(near, ".")
			if n, as = v.nodes[wild], name; n == nil {
				out.addProof(wild)
				out.addNegative()
				return out.answer, out.authority, dns.RcodeNameError
			}
		}
		switch {
		case n != nil && n.sets[qtype] != nil:
			out.addSet(n, qtype, as)
			return out.answer, out.authority, dns.RcodeSuccess
		case n != nil && n.sets[dns.TypeCNAME] != nil:
			out.addSet(n, dns.TypeCNAME, as)
			if name = n.sets[dns.TypeCNAME][0].(*dns.CNAME).Target; !dns.IsSubDomain(v.soa.Hdr.Name, name) {
				return out.answer, out.authority, dns.RcodeSuccess
			}
		default:
			if n == nil {
				out.addProof(name)
			} else {
				out.addProof(n.name)
			}
			out.addNegative()
			return out.answer, out.authority, dns.RcodeSuccess
		}
	}
	return out.answer, out.authority, dns.RcodeSuccess
}

// collector gathers the sections of an answer.
type collector struct {
	*view
	signatures        bool
	answer, authority []dns.RR
}

// addSet adds a set to the answer, under another name if it is that of a wildcard.
func (c *collector) addSet(n *node, qtype uint16, as string) {
	all := n.sets[qtype]
	if sig := n.sigs[qtype]; c.signatures && sig != nil {
		all = append(slices.Clip(all), sig)
	}
	for _, rr := range all {
		if rr = dns.Copy(rr); as != "" {
			rr.Header().Name = as
		}
		c.answer = append(c.answer, rr)
	}
}

// addNegative adds the SOA record, by which resolvers cache absence.
func (c *collector) addNegative() {
	apex := c.nodes[c.soa.Hdr.Name]
	c.authority = append(c.authority, dns.Copy(c.soa))
	if sig := apex.sigs[dns.TypeSOA]; c.signatures && sig != nil {
		c.authority = append(c.authority, dns.Copy(sig))
	}
}

// addProof adds the record that proves which types a name has, or that it does not exist.
func (c *collector) addProof(name string) {
	if !c.signatures || len(c.order) == 0 {
		return
	}
	n := c.covering(name)
	for _, rr := range c.authority {
		if rr.Header().Name == n.name && rr.Header().Rrtype == dns.TypeNSEC {
			return
		}
	}
	c.authority = append(c.authority, dns.Copy(n.nsec), dns.Copy(n.sigs[dns.TypeNSEC]))
}
