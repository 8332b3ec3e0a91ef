package earned

import "net/netip"

// textOf returns a client as operators write it: one address without its length.
func textOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
