package fallback

import (
	"testing"
	"time"

	"ehlogate/lists"
)

// both makes a legacy list beside the suppress list.
func both(o *Options) { o.Legacy = true }

// With both lists, old TLS comes first where it may help.
func TestStages(t *testing.T) {
	w := newWorld(t, both)
	w.learn(client, noKeyShare)
	w.expect(w.suppress, client, true, "old TLS cannot help")

	for _, class := range []string{oldVersion, noCipher} {
		w = newWorld(t, both)
		w.learn(client, class)
		w.expect(w.legacy, client, true, class)
		w.expect(w.suppress, client, false, class)
		for range 2 {
			w.wait(31 * time.Minute)
			w.add(client, fails(noKeyShare))
			w.expect(w.legacy, client, true, "fails with old TLS, too")
		}
		w.wait(31 * time.Minute)
		w.add(client, fails(noKeyShare))
		w.expect(w.suppress, client, true, "failed three times with old TLS")
		w.expect(w.legacy, client, false, "suppressed")
	}

	w = newWorld(t, both)
	w.observes = true
	w.learn(client, oldVersion)
	for range 3 {
		w.wait(31 * time.Minute)
		w.add(client, fails(oldVersion))
	}
	w.expect(w.legacy, client, true, "the legacy list observes")

	w = newWorld(t, func(o *Options) { o.Legacy, o.Suppress = true, false })
	w.learn(client, noKeyShare)
	w.expect(w.legacy, client, false, "old TLS cannot help, and there is no other list")
	w.learn("198.51.100.1", oldVersion)
	w.expect(w.legacy, "198.51.100.1", true, "old TLS")
	w.wait(time.Hour)
	w.learn("198.51.100.1", noKeyShare)
	if w.expect(w.legacy, "198.51.100.1", false, "old TLS did not help"); w.entryOf("198.51.100.1") != nil {
		t.Error("the entry is still there")
	}
}

// Success with old TLS is what a legacy entry is for. It never makes way for suppressing.
func TestLegacyUse(t *testing.T) {
	legacy := func(class string) *world {
		w := newWorld(t, both)
		w.add(client, succeeds("TLSv1.1"), named("")) // which does not make immune to old TLS
		w.wait(time.Hour)
		w.learn(client, class)
		w.wait(time.Minute)
		w.add(client, succeeds("TLSv1"), delivers(1))
		w.expect(w.legacy, client, true, "use")
		return w
	}
	for version, want := range map[string]bool{"TLSv1.1": true, "": true, "TLSv1.2": false, "TLSv1.3": false} {
		w := legacy(oldVersion)
		w.add(client, succeeds(version))
		w.expect(w.legacy, client, want, "no old version any more: "+version)
	}
	w := legacy(noCipher)
	w.add(client, succeeds("TLSv1.2"), delivers(1))
	w.expect(w.legacy, client, true, "a cipher that the legacy service has")
	w.wait(time.Minute)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, false, "completed TLS")
	w.wait(8 * day)
	w.learn(client, noCipher)
	w.expect(w.legacy, client, true, "old TLS again")

	w = legacy(noCipher) // its probe succeeds
	for i := range 10 {
		if got := connect(w.legacy, client); got == (i == 9) {
			t.Errorf("session %d: %v", i, got)
		}
	}
	w.wait(time.Second)
	w.now = advance(w.now, time.Minute)
	w.add(client, succeeds("TLSv1"), ending(w.now.Wall.Add(-time.Minute-3*time.Second)))
	w.expect(w.legacy, client, true, "a session with old TLS beside the probe")
	w.add(client, succeeds("TLSv1.2"), ending(w.now.Wall.Add(-time.Minute-2*time.Second)))
	w.expect(w.legacy, client, false, "a probe succeeded")
	w.wait(time.Hour)
	w.learn(client, noCipher)
	w.expect(w.legacy, client, false, "immune")

	w = legacy(noCipher) // dormant: success is with the usual service
	w.wait(5 * time.Hour)
	w.add(client, succeeds("TLSv1.2"))
	w.learn(client, noCipher)
	w.expect(w.legacy, client, false, "succeeded without the entry")
}

// A table is of one moment, and a list of its action.
func TestListOfAction(t *testing.T) {
	w := newWorld(t, both)
	w.learn(client, oldVersion)
	if got := w.legacy.Lookup(lists.Client{Addr: w.lookup(client)}).Entry(w.lookup(client)); got.Text != client || got.Note == "" || !got.Until.Equal(w.now.Wall.Add(4*time.Hour)) {
		t.Errorf("%+v", got)
	}
	if connect(w.suppress, client) || !connect(w.legacy, client) {
		t.Error("the entry is in the other list")
	}
}
