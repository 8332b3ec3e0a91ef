package mtatest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// safetyLog is the log from which the daemons of TestSafety learn.
type safetyLog struct {
	*learningLog
	states []string // what the daemons that read it keep of it
}

func newSafetyLog(t *testing.T) *safetyLog {
	t.Helper()
	log, err := newLearningLog(filepath.Join(tempDir(t), "mail.log"), time.Now().Add(-4*time.Hour))
	mustDo(t, err)
	return &safetyLog{learningLog: log}
}

// configure returns the sections that a daemon needs to learn; state is where it keeps what it knows.
func (l *safetyLog) configure(at setting, state string) string {
	if !at.learns {
		return ""
	}
	l.states = append(l.states, state+".logs")
	return fmt.Sprintf("[logs]\nfiles = [%q]\nstate = %q\n[learn]\nstate = %q\n", l.path, state+".logs", state+".db") +
		learnedNumbers + "[earned]\ndays = 1\nsessions = 3\n"
}

// play writes the pasts of all senders, and waits until all daemons have learned from them.
func (l *safetyLog) play(t *testing.T, daemons map[string]*daemon) {
	t.Helper()
	for _, state := range l.states {
		mustDo(t, awaitReading(context.Background(), state))
	}
	for range 3 {
		mustDo(t, l.write(deliveredInClear, addrsOf(goodPast)...))
	}
	mustDo(t, l.write(completedTLS, addrsOf(attackedPast)...))
	// So many others complete TLS at that time that failures do not look like those of the server.
	others, failing := []string{"11.0.9.1", "11.0.9.2", "11.0.9.3", "11.0.9.4", "11.0.9.5"}, addrsOf(failedPast, attackedPast)
	for n := 1; n <= 3; n++ {
		mustDo(t, l.writeAll(sessionsOf{completedTLS, others}, sessionsOf{failedTLS, failing}))
		for _, p := range promises {
			g := learning(daemons[serviceOf(learnedSetting(), p)].http)
			for _, addr := range failing {
				mustDo(t, g.awaitClient(context.Background(), addr, "each failure is evidence", func(c *learnedClient) bool { return len(c.Fallback.Evidence) == n || c.isLive() }))
			}
			mustDo(t, g.awaitSpacing(context.Background()))
		}
	}
	for _, at := range allSettings {
		for _, p := range promises {
			if at.learns {
				daemons[serviceOf(at, p)].awaitPasts(t, at)
			}
		}
	}
}

func learnedSetting() setting {
	return allSettings[slices.IndexFunc(allSettings, func(at setting) bool { return at.name == "learned" })]
}

// addrsOf returns the addresses of the senders that have one of these pasts.
func addrsOf(pasts ...past) (addrs []string) {
	for _, s := range senders {
		if slices.Contains(pasts, s.past) {
			addrs = append(addrs, s.addr)
		}
	}
	return addrs
}

// awaitPasts waits until a daemon has learned from the pasts of all senders.
func (g *daemon) awaitPasts(t *testing.T, at setting) {
	t.Helper()
	for _, s := range senders {
		mustDo(t, learning(g.http).awaitClient(context.Background(), s.addr, "all is learned", func(c *learnedClient) bool {
			if at.name == "earned" {
				return c.Earned.Earned == (s.past == goodPast && !s.own)
			}
			return c.isLive() == (s.past == failedPast) && (c.Fallback.Immune != "") == (s.past == attackedPast)
		}))
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
