package state

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists/dnscache"
)

// What the log says of DNS, with the zone as a field.
func TestDNSEventMessages(t *testing.T) {
	for _, tc := range []struct {
		event dnscache.Event
		want  string
	}{
		{dnscache.Event{Kind: dnscache.Disabled, Upstream: "list.example", Why: "timeout"},
			`level=warning msg="zone list.example disabled until its health check passes: timeout; clients count as unknown" zone=list.example`},
		{dnscache.Event{Kind: dnscache.Disabled, Upstream: "list.example", Why: "timeout", Stale: 24 * time.Hour},
			`level=warning msg="zone list.example disabled until its health check passes: timeout; expired answers are used for up to 24h0m0s, other clients count as unknown" zone=list.example`},
		{dnscache.Event{Kind: dnscache.Enabled, After: time.Minute}, `level=info msg="reverse DNS enabled again after 1m0s"`},
		{dnscache.Event{Kind: dnscache.Overloaded, Upstream: "list.example", Limit: 20},
			`level=warning msg="DNS queries dropped: max_lookups = 20 queries are in flight, or zone list.example has nearly all of them; clients that are not in the cache count as unknown" zone=list.example`},
		{dnscache.Event{Kind: dnscache.Panicked, Why: "boom"}, `level=error msg="panic in a DNS query to reverse DNS, please report it: boom"`},
	} {
		var out bytes.Buffer
		log := logrus.New()
		logschema.Watch(t, log)
		log.SetOutput(&out)
		log.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true})
		if logDNSEvents(log)(tc.event); strings.TrimSpace(out.String()) != tc.want {
			t.Errorf("%s: got %s, want %s", tc.event.Kind, out.String(), tc.want)
		}
	}
}
