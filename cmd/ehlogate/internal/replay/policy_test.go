package replay

import (
	"net/netip"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/maillog"
	"ehlogate/lists/ratelimit"
)

// TestLimitOfOldLog: time passes for default = "limit" as it does in the log, whenever that was written.
func TestLimitOfOldLog(t *testing.T) {
	cfg := config.Defaults()
	cfg.Limit = &config.Limit{Rate: ratelimit.Rate{OffersPerSecond: 10, Keep: 5 * time.Minute}}
	for _, tc := range []struct {
		spacing   time.Duration
		most, all int
	}{{time.Hour, 500, 500}, {time.Second, 500, 500}, {time.Millisecond, 1, 20}} {
		p := Load(t.Context(), cfg, false)
		offered := 0
		at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 500 {
			at = at.Add(tc.spacing)
			s := &maillog.Session{Time: at, Service: "smtp", Addr: netip.AddrFrom4([4]byte{8, 8, byte(i / 256), byte(i)})}
			if p.Decide(t.Context(), s).Action == lists.Offer {
				offered++
			}
		}
		p.Close()
		if offered < tc.most || offered > tc.all {
			t.Errorf("sessions each %v: %d of 500 were offered STARTTLS, want %d to %d", tc.spacing, offered, tc.most, tc.all)
		}
	}
}
