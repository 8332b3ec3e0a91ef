package mtatest_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/fallback"
	"ehlogate/lists/test/testenv"
)

// The TLS of the clients. The server wants TLS 1.2, and no server has RC4.
var (
	goodTLS   = handshakeWith(nil)
	oldTLS10  = handshakeWith(onlyVersion(tls.VersionTLS10))
	oldCipher = handshakeWith(func(config *tls.Config) {
		onlyVersion(tls.VersionTLS12)(config)
		config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_RC4_128_SHA}
	})
)

func handshakeWith(edit func(config *tls.Config)) handshake {
	return func(c *mtatest.SMTP) (tls.ConnectionState, error) { return c.HandshakeWith(clientConfig(edit)) }
}

// storyRow is one attempt of a client, and what ehlogate says after it.
type storyRow struct {
	client, what string
	attempt
	says string
}

// try has a client send a message, and checks what became of it. ehlogate takes note of it, which is awaited, and that is one
// row of the table.
func (s *learnedSite) try(client, what string, shake handshake, want attempt, holds func(r fallback.ClientReport) bool) {
	s.Helper()
	s.tryOneOf(client, what, shake, []attempt{want}, holds)
}

// tryOneOf is try where one of several things is to become of the message.
func (s *learnedSite) tryOneOf(client, what string, shake handshake, want []attempt, holds func(r fallback.ClientReport) bool) (a attempt) {
	s.Helper()
	// In a log that has seconds, sessions of one second are not told apart.
	s.awaitTrue("the next second", func() bool { return time.Now().Unix() > s.noted })
	before := s.known(client).Entry
	if a = s.send(client, shake); !slices.Contains(want, a) {
		s.Fatalf("%s, %s: got %+v, want %+v\n%s\n%s\n%+v", client, what, a, want, s.daemon.Log.Tail(20), s.log.Tail(20), s.known(client))
	}
	s.passTime()
	s.awaitTrue(client+", "+what, func() bool {
		r := s.known(client)
		noted := before == nil || r.Entry == nil || r.Entry.Action != before.Action || r.Entry.Messages == before.Messages+1
		return noted && holds(r)
	})
	s.noted = time.Now().Unix()
	s.rows = append(s.rows, storyRow{client, what, a, describeKnown(s.known(client))})
	return a
}

// What became of a message.
var (
	failsTLS   = attempt{offered: true, handshake: "fails", clear: true}
	hiddenTLS  = attempt{clear: true}
	overTLS13  = attempt{offered: true, handshake: "TLS 1.3"}
	overOldTLS = attempt{offered: true, handshake: "TLS 1.0"}
)

// hasProofs returns a condition: that so many failures are evidence.
func hasProofs(n int) func(r fallback.ClientReport) bool {
	return func(r fallback.ClientReport) bool { return r.Entry == nil && len(r.Evidence) == n }
}

// isLearned returns a condition: that an entry with an action lives, with so many probes or more.
func isLearned(action string, probes int) func(r fallback.ClientReport) bool {
	return func(r fallback.ClientReport) bool {
		return r.Entry != nil && r.Entry.State == "live" && r.Entry.Action == action && r.Entry.Probes >= probes
	}
}

func isImmune(r fallback.ClientReport) bool { return r.Entry == nil && r.Immune != "" }

// learn has a client fail until it is learned.
func (s *learnedSite) learn(client, what string, shake handshake, action string) {
	s.Helper()
	for n := 1; n <= 2; n++ {
		s.try(client, what, shake, failsTLS, hasProofs(n))
		s.awaitSpacing()
	}
	s.try(client, what, shake, failsTLS, isLearned(action, 0))
	s.checkLines(client)
}

// checkLines checks that each failure of an entry is shown with a line of the log of the mail server, and no two with the same.
func (s *learnedSite) checkLines(client string) {
	s.Helper()
	text, err := os.ReadFile(s.log.Path())
	if err != nil {
		s.Fatal(err)
	}
	shown := map[string]bool{}
	for _, p := range s.known(client).Entry.Evidence {
		if shown[p.Line] = true; p.Line == "" || !strings.Contains("\n"+string(text), "\n"+p.Line+"\n") {
			s.Errorf("%s: %q is no line of\n%s", client, p.Line, s.log.Tail(30))
		}
	}
	if n := len(s.known(client).Entry.Evidence); n < 3 || len(shown) != n {
		s.Errorf("%s: %d lines of %d failures: %q", client, len(shown), n, slices.Collect(maps.Keys(shown)))
	}
}

// failWhileImmune has a client fail as often as it takes to be learned, and once more. It is not learned.
func (s *learnedSite) failWhileImmune(client, what string, shake handshake) {
	s.Helper()
	for n := 1; n <= 4; n++ {
		s.try(client, what, shake, failsTLS, func(r fallback.ClientReport) bool { return isImmune(r) && len(r.Evidence) >= n })
		s.awaitSpacing()
	}
}

// awaitEvent waits for a line in the log of ehlogate.
func (s *learnedSite) awaitEvent(re string, mark int64) {
	s.Helper()
	if _, err := s.daemon.Log.Await(soon(s.T), regexp.MustCompile(re), mark); err != nil {
		s.Error(err)
	}
}

// describeKnown returns what ehlogate says of a client, in a few words.
func describeKnown(r fallback.ClientReport) string {
	e := r.Entry
	switch {
	case e != nil && e.State == "live":
		return fmt.Sprintf("learned: %s, since TLS failed with %s; sessions %d, probes %d", e.Action, e.Class, e.Sessions, e.Probes)
	case r.Immune != "":
		return "immune: " + r.Immune
	case r.LeftAlone != "":
		return "left alone: " + r.LeftAlone
	}
	return fmt.Sprintf("failures that are evidence: %d", len(r.Evidence))
}

// table returns the rows as text.
func (s *learnedSite) table(title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n%3s  %-13s %-26s %-8s %-9s %-12s %s\n", title, "", "client", "its TLS", "STARTTLS", "handshake", "delivered", "ehlogate says")
	for i, r := range s.rows {
		words := map[bool]string{true: "offered", false: "hidden"}
		how := "over TLS"
		if r.clear {
			how = "in the clear"
		}
		handshake := r.handshake
		if handshake == "" {
			handshake = "-"
		}
		fmt.Fprintf(&b, "%3d  %-13s %-26s %-8s %-9s %-12s %s\n", i+1, r.client, r.what, words[r.offered], handshake, how, r.says)
	}
	return b.String()
}

// stories are what happens to clients, by the lists that learn.
var stories = []struct {
	name, lists string
	play        func(s *learnedSite)
}{
	{`a list with action = "suppress"`, learnedSuppress, (*learnedSite).suppressStory},
	{`lists with action = "legacy" and "suppress"`, learnedLegacy + learnedSuppress, (*learnedSite).legacyStories},
}

// TestFallback has ehlogate learn from the logs of real mail servers which clients cannot do TLS, and prints what happened at
// which attempt.
func TestFallback(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim", "nft")
	t.Parallel()
	var mu sync.Mutex
	tables := map[string]string{}
	t.Run("servers", func(t *testing.T) {
		for _, story := range stories {
			for _, server := range learnedServers {
				title := server.name + ", " + story.name
				t.Run(title, func(t *testing.T) {
					t.Parallel()
					s := newLearnedSite(t, server.start, story.lists)
					story.play(s)
					mu.Lock()
					defer mu.Unlock()
					tables[title] = s.table(title)
				})
			}
		}
	})
	narrate(t, "Failures count if they are a second apart, and each 4th session is a probe; with the usual numbers, 10 minutes, and each 10th.")
	for _, story := range stories {
		for _, server := range learnedServers {
			narrate(t, "%s", tables[server.name+", "+story.name])
		}
	}
}
