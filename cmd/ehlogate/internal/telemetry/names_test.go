package telemetry

import (
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
)

// TestNames has clients claim HELO names, and expects those addresses that have many within a while.
func TestNames(t *testing.T) {
	start := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name  string
		addr  string
		names int
		every time.Duration // between two names
		among int           // other clients come between two names
		found bool
	}{
		{"a bridge", "172.17.0.1", 30, time.Second, 0, true},
		{"a bridge, in a flood of other clients", "172.17.0.1", 30, time.Second, 100, true},
		{"a host of one's own", "10.0.0.1", 5, time.Second, 0, false},
		{"a host that is renamed each hour", "10.0.0.1", 30, time.Hour, 0, false},
		{"a NAT", "192.0.2.1", 60, time.Second, 0, true},
		{"a host with some names", "192.0.2.1", 20, time.Second, 0, false},
	} {
		n, now := names{seed: maphash.MakeSeed()}, start
		found, other := 0, uint32(0)
		for i := range tc.names {
			now = now.Add(tc.every)
			for range 3 { // a session asks more than once
				if n.add(netip.MustParseAddr(tc.addr), fmt.Sprintf("host%d.example", i), now) != nil {
					found++
				}
			}
			for range tc.among {
				other++
				n.add(netip.AddrFrom4([4]byte{100, byte(other >> 16), byte(other >> 8), byte(other)}), fmt.Sprintf("bot%d.example", other), now)
			}
		}
		if (found > 0) != tc.found {
			t.Errorf("%s: found %d times", tc.name, found)
			continue
		}
		if !tc.found {
			continue
		}
		if s := n.current(now); s == nil || s.Addr.String() != tc.addr || s.Names < tc.names*7/10 || s.Names > tc.names*13/10 {
			t.Errorf("%s: %+v", tc.name, s)
		}
		if n.current(now.Add(2*nameWindow)) != nil {
			t.Errorf("%s: found for ever", tc.name)
		}
	}
}

// BenchmarkNames is what policy and milter pay for it.
func BenchmarkNames(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := NewRecorder(NewMetrics(newManager(b, "# nothing\n", map[string]string{})), log)
	c := lists.Client{Addr: netip.MustParseAddr("8.8.8.8"), HELO: "mail.example.org"}
	d := lists.Decision{Verdict: lists.Verdict{Action: lists.Offer, Reason: lists.ReasonLimit}}
	b.ReportAllocs()
	for b.Loop() {
		r.noteName(&c, &d)
	}
}
