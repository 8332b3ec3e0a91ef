package dnstest

import (
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// NewSignedZone is like [NewZone], and signs the zone by a key of its own: every set by an RRSIG, and what is absent by
// NSEC records (RFC 4034, RFC 4035).
func NewSignedZone(t testing.TB, name, text string) *Zone {
	t.Helper()
	z := &Zone{name: dns.CanonicalName(name), sets: make(map[string]sets)}
	z.key = &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: z.name, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	secret, err := z.key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	z.sign = secret.(crypto.Signer)
	z.Set(t, text)
	return z
}

// signAll adds the zone's signatures and NSEC records.
func (z *Zone) signAll(v *view) error {
	v.nodes[z.name].sets[dns.TypeDNSKEY] = []dns.RR{z.key}
	for _, n := range v.nodes {
		n.sortKey = sortKey(n.name)
		v.order = append(v.order, n)
	}
	slices.SortFunc(v.order, func(a, b *node) int { return strings.Compare(a.sortKey, b.sortKey) })
	for i, n := range v.order {
		n.nsec = &dns.NSEC{
			Hdr:        dns.RR_Header{Name: n.name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: min(v.soa.Hdr.Ttl, v.soa.Minttl)},
			NextDomain: v.order[(i+1)%len(v.order)].name,
			TypeBitMap: []uint16{dns.TypeRRSIG, dns.TypeNSEC},
		}
		for t := range n.sets {
			n.nsec.TypeBitMap = append(n.nsec.TypeBitMap, t)
		}
		slices.Sort(n.nsec.TypeBitMap)
		n.sets[dns.TypeNSEC] = []dns.RR{n.nsec}
		n.sigs = make(map[uint16]*dns.RRSIG, len(n.sets))
		for t, rrs := range n.sets {
			sig, err := z.signature(rrs)
			if err != nil {
				return err
			}
			n.sigs[t] = sig
		}
	}
	return nil
}

func (z *Zone) signature(rrs []dns.RR) (*dns.RRSIG, error) {
	now := time.Now()
	sig := &dns.RRSIG{
		Hdr:        dns.RR_Header{Ttl: rrs[0].Header().Ttl},
		Algorithm:  z.key.Algorithm,
		KeyTag:     z.key.KeyTag(),
		SignerName: z.name,
		Inception:  uint32(now.Add(-time.Hour).Unix()),
		Expiration: uint32(now.Add(30 * 24 * time.Hour).Unix()),
	}
	return sig, sig.Sign(z.sign, rrs)
}

// sortKey returns a string that sorts as RFC 4034 section 6.1 sorts names.
func sortKey(name string) string {
	labels := dns.SplitDomainName(name)
	slices.Reverse(labels)
	return strings.Join(labels, "\x00")
}

// covering returns the node at a name, or the last one before it.
func (v *view) covering(name string) *node {
	i, found := slices.BinarySearchFunc(v.order, sortKey(dns.CanonicalName(name)), func(n *node, p string) int { return strings.Compare(n.sortKey, p) })
	if !found {
		i += len(v.order) - 1
	}
	return v.order[i%len(v.order)]
}
