package benchmarks

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
	"ehlogate/lists/test/listtest"
)

// TestEvidence measures what the lines of the log take on the disk, in the evidence of as many clients as are kept, each of which
// fails as often as is kept. An attacker chooses parts of a line, and how long it is.
func TestEvidence(t *testing.T) {
	clients := listtest.Hosts(pick(fallback.Defaults().MaxEvidence, 500))
	const group = "evidence of 100,000 clients with 8 failures each"
	for _, line := range []struct {
		what   string
		length int
	}{{"without lines", 0}, {"with lines of Postfix", 150}, {"with the longest lines", maillog.MaxSessionLine}} {
		size := evidenceSize(t, clients, strings.Repeat("x", line.length))
		single(t, group, "on the disk for each, "+line.what, "bytes", size/float64(len(clients)), 0, "")
	}
}

// evidenceSize returns the size of a store of clients that failed with a line. Another list keeps them from having an entry.
func evidenceSize(t *testing.T, clients []listtest.Entry, line string) float64 {
	t.Helper()
	o := fallback.Defaults()
	o.Suppress, o.BreakerSpan = true, time.Nanosecond // no two fail within it, so that the breaker stays closed
	learner := fallback.New(o, fallback.Environment{Standing: func(lists.Client) fallback.Standing { return fallback.StandingDenied }}, nil)
	store, err := learnstore.Open(filepath.Join(tempDir(t), "learned.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := learnstore.Moment{Wall: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	s := maillog.Session{Service: maillog.ServiceSMTP, Name: "mail.printer.example", TLS: maillog.TLSFailed, Outcome: maillog.OutcomeIncapable, Line: line}
	for range 8 {
		now = learnstore.Moment{Wall: now.Wall.Add(time.Hour), Followed: now.Followed + time.Hour}
		s.Time, s.End = now.Wall, now.Wall
		for i := 0; i < len(clients); i += 100_000 {
			err := store.Update(func(tx learnstore.Tx) error {
				for _, c := range clients[i:min(i+100_000, len(clients))] {
					s.Addr, now.Followed = c.From, now.Followed+time.Microsecond
					if err := learner.Add(tx, now, &s); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	size, err := store.Size()
	if err != nil {
		t.Fatal(err)
	}
	return float64(size)
}
