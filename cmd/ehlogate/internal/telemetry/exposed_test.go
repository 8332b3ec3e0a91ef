package telemetry

import (
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists"
)

// A client that submits mail without TLS is a fault for a day, and counted until the daemon ends.
func TestExposed(t *testing.T) {
	r := newQuietRecorder(newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"}))
	if e := r.Exposed(); e.IsRecent(time.Now()) || (*Exposed)(nil).IsRecent(time.Now()) {
		t.Errorf("before any session: %+v", e)
	}
	for _, addr := range []string{"192.0.2.1", "192.0.2.2"} {
		r.Outcomes("policy")(lists.OutcomeSubmission, lists.Client{Addr: netip.MustParseAddr(addr)}, lists.Decision{})
	}
	e := r.Exposed()
	want := "STARTTLS is hidden from 192.0.2.2, which submitted mail without TLS: passwords are sent in the clear (sessions: 2)"
	if e.String() != want || !e.IsRecent(e.Last.Add(exposedFor-time.Second)) || e.IsRecent(e.Last.Add(exposedFor)) {
		t.Errorf("%+v is %q", e, &e)
	}
}
