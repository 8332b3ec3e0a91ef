package fallback

import (
	"net/netip"
	"testing"

	"ehlogate/lists"
)

// The question that a list is not for does not count, and gets the answer of the last session. So a mail server that never
// asks it has no probes of old TLS: its service with old TLS is not chosen by ehlogate.
func TestOtherQuestion(t *testing.T) {
	w := newWorld(t, both)
	w.learn("192.0.2.25", oldVersion)
	w.learn("198.51.100.25", noKeyShare)
	for addr, l := range map[string]*List{"192.0.2.25": w.legacy, "198.51.100.25": w.suppress} {
		c := lists.Client{Addr: netip.MustParseAddr(addr), Profile: l == w.suppress}
		for range 100 {
			if l.LookupSession(c).Status != lists.Matched {
				t.Errorf("%s: the other question is a probe", addr)
			}
		}
		c.Profile = !c.Profile
		for i := range 10 {
			if got := l.LookupSession(c).Status == lists.Matched; got != (i != 9) {
				t.Errorf("%s: session %d: %v", addr, i, got)
			}
		}
		if c.Profile = !c.Profile; l.LookupSession(c).Status != lists.NoMatch {
			t.Errorf("%s: the other question of a probe", addr)
		}
	}
}
