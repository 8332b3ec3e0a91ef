package fallback

import (
	"fmt"
	"testing"
	"time"

	"ehlogate/lists"
)

// The oldest record goes, by its last change.
func TestOldestGoes(t *testing.T) {
	store := newCountingStore()
	a := &agedBucket{name: "test", limit: 3}
	for i, step := range []struct{ key, want string }{
		{"a", "a"}, {"b", "ab"}, {"c", "abc"}, {"d", "bcd"}, {"b", "bcd"}, {"e", "bde"}, {"b", "bde"}, {"f", "bef"}, {"g", "bfg"},
	} {
		if _, err := a.store(store, time.Duration(i+1)*time.Minute, []byte(step.key), []byte{recordVersion}); err != nil {
			t.Fatal(err)
		}
		got := ""
		_ = a.records(store).ForEach(func(key, _ []byte) error { got += string(key); return nil })
		if got != step.want || a.ages(store).Count() != len(got) {
			t.Errorf("%d: %q, %d ages; want %q", i, got, a.ages(store).Count(), step.want)
		}
	}
}

// Many scanners do not push out a client that is left alone for good.
func TestLeftAloneForGood(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxEvidence = 10 })
	_ = w.leaveAlone(w.tx, w.now, w.lookup(client), maxFollowed*time.Hour, "test")
	for i := range 100 {
		w.wait(time.Minute)
		w.add(fmt.Sprintf("198.51.100.%d", i), fails(noCipher), isScanner)
	}
	if got := w.findAlone(w.tx, w.now, w.lookup(client)); got != "test" {
		t.Errorf("%q", got)
	}
}

// A success that another store has from the future makes immune for no longer than any.
func TestSuccessOfTheFuture(t *testing.T) {
	w := newWorld(t, nil)
	future := w.now
	future.Followed += 5000 * time.Hour
	if _, err := noteSuccess(w.tx, w.immune.v4, hostKey(w.lookup(client)), future, true); err != nil {
		t.Fatal(err)
	}
	if _, lasts := w.findImmunity(w.tx, w.now, lists.Client{Addr: w.lookup(client)}, lists.Suppress); lasts != 400*day {
		t.Errorf("immune for %v", lasts)
	}
}
