package lists

import "net/netip"

// carrierNAT is the space of carrier-grade NAT (RFC 6598).
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// MayBeShared reports whether a mail server can see many clients under addr: it is an address of its own machine or of a
// private network, which a proxy, a NAT or the bridge of a container puts in place of the client's.
func MayBeShared(addr netip.Addr) bool {
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || carrierNAT.Contains(addr)
}

// Restricts reports whether the verdict hides STARTTLS from the client, or is an offer out of a limited number. Clients that
// share an address share it.
func (v Verdict) Restricts() bool { return v.Action == Suppress || v.Reason == ReasonLimit }
