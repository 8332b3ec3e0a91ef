package fallback

import (
	"testing"
	"time"

	"ehlogate/lists/learnstore"
)

// Immunity lasts in full, also that of the first hour of all.
func TestImmunityLastsInFull(t *testing.T) {
	for _, followed := range []time.Duration{0, time.Minute, 1000*time.Hour + 59*time.Minute} {
		w := newWorld(t, both)
		w.tx, w.now.Followed = learnstore.NewMemory(), followed
		w.start(w.options)
		w.add(client, succeeds("TLSv1.3"), named(""))
		w.wait(400*day - 63*time.Minute)
		w.learn(client, oldVersion)
		w.expect(w.legacy, client, false, "400 days are not over")
	}
}

// What lookups count is not lost when the store is read again: the list that is published belongs to the entries still.
func TestReloadKeepsProbes(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	for range 5 {
		connect(w.suppress, client)
	}
	w.Reload()
	for range 4 {
		connect(w.suppress, client)
	}
	if w.wait(time.Second); connect(w.suppress, client) {
		t.Error("the tenth session is no probe")
	}
	if w.wait(time.Second); w.entryOf(client).sessions != 9 {
		t.Errorf("%d sessions", w.entryOf(client).sessions)
	}
}

// A store that cannot be read in full is read again.
func TestLoadFails(t *testing.T) {
	store := newCountingStore()
	w := newWorld(t, nil)
	w.tx = store
	w.Reload()
	w.learn(client, noCipher)
	_ = store.Bucket(entryBucket).Put([]byte("garbage"), nil)
	w.Reload()
	store.writes, store.failAt = 0, 1
	if err := w.Tick(w.tx, w.now); err == nil {
		t.Error("no error")
	}
	if w.wait(0); store.Bucket(entryBucket).Count() != 1 || w.Table().Len() != 1 {
		t.Errorf("%d records, %d entries", store.Bucket(entryBucket).Count(), w.Table().Len())
	}
}
