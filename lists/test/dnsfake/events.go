package dnsfake

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"ehlogate/lists/dnscache"
)

// Events keeps the events of a cache.
type Events struct {
	mu  sync.Mutex
	all []string
}

// Notify is for dnscache.New.
func (l *Events) Notify(e dnscache.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimSpace(string(e.Kind) + " " + e.Upstream)
	if e.Why != "" {
		text += ": " + e.Why
	}
	if e.Stale > 0 {
		text += fmt.Sprintf(" (stale %v)", e.Stale)
	}
	if e.After > 0 {
		text += fmt.Sprintf(" (after %v)", e.After)
	}
	if e.Limit > 0 {
		text += fmt.Sprintf(" (limit %d)", e.Limit)
	}
	l.all = append(l.all, text)
}

// All returns the events so far.
func (l *Events) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Expect fails the test if there were other events, and forgets them.
func (l *Events) Expect(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.all, want) {
		t.Errorf("events: got %q, want %q", l.all, want)
	}
	l.all = nil
}
