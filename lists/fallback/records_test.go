package fallback

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

var buckets = []string{
	"fallback-clients", "fallback-clients-age", "fallback-alone", "fallback-alone-age", "fallback-immune", "fallback-immune-age",
	"fallback-immune-6", "fallback-immune-6-age", "fallback-networks-6", "fallback-networks-6-age",
	"fallback-networks", "fallback-networks-age", "fallback-domains", "fallback-domains-age", "fallback-clear", "fallback-clear-age",
	entryBucket, stateBucket,
}

// fullEntry has a value in each field that is stored.
func fullEntry() *entry {
	m := func(n int) learnstore.Moment {
		return advance(learnstore.Moment{Wall: epoch}, time.Duration(n)*time.Hour)
	}
	p := func(n int) proof {
		return proof{m(n).Wall, m(n).Followed, maillog.Exim, "smtp", "TLSv1", strings.Repeat("x", maillog.MaxSessionLine-n)}
	}
	return &entry{
		netip.MustParseAddr(client), "mail.printer.example", 3, classByName[noCipher], true, m(1), m(2), 3 * time.Hour, m(4), 5, true,
		[]proof{p(6), p(7)}, classByName[oldVersion], []proof{p(8)}, m(9), 10, 11, m(12).Wall, 13, 14, nil,
	}
}

// What is stored is what is read.
func TestRecords(t *testing.T) {
	e := fullEntry()
	for f := range reflect.ValueOf(*e).NumField() - 1 {
		if reflect.ValueOf(*e).Field(f).IsZero() {
			t.Fatalf("field %d has no value", f)
		}
	}
	got := decodeEntry(addrKey(e.addr), e.encode())
	if got == nil || got.probe == nil {
		t.Fatal("no entry")
	}
	if got.probe = nil; !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v\nwant %+v", got, e)
	}
	v := &evidence{"mail.printer.example", true, classByName[noCipher], epoch, classByName[oldVersion], e.proofs}
	if got := decodeEvidence(v.encode()); !reflect.DeepEqual(got, v) {
		t.Errorf("got %+v\nwant %+v", got, v)
	}
	s := state{breaker{true, "reason", epoch, time.Hour}, traffic{1, 2, 3, 4, false}}
	if got := decodeState(s.encode()); got != s {
		t.Errorf("got %+v\nwant %+v", got, s)
	}
	for n := range len(e.encode()) {
		if decodeEntry(addrKey(e.addr), e.encode()[:n]) != nil {
			t.Errorf("%d bytes of a record are taken for a record", n)
		}
	}
	other := append([]byte{lineVersion + 1}, e.encode()[1:]...)
	if decodeEntry(addrKey(e.addr), other) != nil || decodeEvidence(append(v.encode(), 0)) != nil {
		t.Error("a record of another version, or with more behind it, is taken for a record")
	}
	long := newEncoder(lineVersion)
	long.putInt(maillog.MaxSessionLine + 1)
	if d := newDecoder(append(long, make([]byte, 1000)...), lineVersion); d.takeLine() != "" || !d.bad {
		t.Error("a line that is too long is taken for one")
	}
}

// Garbage in the store counts as absent: the rules neither panic nor suppress anything for it, and learn as ever.
func FuzzRecords(f *testing.F) {
	address, hour := addrKey(netip.MustParseAddr(client)), []byte{0, 0, 234, 96}
	v := &evidence{"mail.printer.example", true, classByName[noCipher], epoch, classByName[noCipher], fullEntry().proofs}
	for i := range buckets {
		f.Add(i, address, fullEntry().encode())
		f.Add(i, address, append(bytes.Clone(hour), v.encode()...))
		f.Add(i, address, must(hex.DecodeString(oldEntry)))
		f.Add(i, address, append(bytes.Clone(hour), must(hex.DecodeString(oldEvidence))...))
		f.Add(i, append(bytes.Clone(hour), address...), []byte{1})
		f.Add(i, []byte(stateKey), []byte(new(state).encode()))
		f.Add(i, address, append(bytes.Clone(hour), 1, 0, 0, 234, 96))
		f.Add(i, []byte{}, []byte{})
	}
	f.Fuzz(func(t *testing.T, bucket int, key, value []byte) {
		w := newWorld(t, func(o *Options) { o.Legacy, o.MaxEvidence, o.MaxImmune = true, 2, 2 })
		b := w.tx.Bucket(buckets[uint(bucket)%uint(len(buckets))])
		_ = b.Put(key, value)
		w.Reload()
		w.wait(time.Second)
		for _, e := range w.Table().entries {
			if e.until.Followed-w.now.Followed > w.options.MaxLife || !hasOwnAddress(e.addr) {
				t.Errorf("an entry of garbage: %+v", e)
			}
		}
		for range 3 {
			w.add(client, fails(noCipher))
			w.add("198.51.100.1", delivers(1))
			w.add("203.0.113.1", fails(noCipher), isScanner)
			w.wait(31 * time.Minute)
		}
		w.add(client, succeeds("TLSv1.3"))
		w.expect(w.suppress, client, false, "completed TLS")
		if _, err := w.Report(w.tx, w.now); err != nil {
			t.Error(err)
		}
		if err := w.Withdraw(w.tx, w.now, w.lookup(client), "test"); err != nil {
			t.Error(err)
		}
	})
}

// Entries that the rules cannot have made are deleted: those of another store, or of an action that there is no list for.
func TestImplausibleEntries(t *testing.T) {
	for name, change := range map[string]func(e *entry){
		"fine":            func(*entry) {},
		"from the future": func(e *entry) { e.made.Followed += 5000 * time.Hour },
		"confirmed later": func(e *entry) { e.confirmed.Followed += 5000 * time.Hour },
		"lives too long":  func(e *entry) { e.until.Followed += 30 * day },
		"no list":         func(e *entry) { e.action = 3 },
		"shared address":  func(e *entry) { e.addr = netip.MustParseAddr("10.0.0.1") },
	} {
		w := newWorld(t, nil)
		w.learn(client, noCipher)
		e := w.entryOf(client)
		change(e)
		_ = w.tx.Bucket(entryBucket).Delete(addrKey(w.lookup(client)))
		_ = w.saveEntry(w.tx, e)
		w.start(w.options)
		if got := len(w.entries) == 1; got != (name == "fine") || w.tx.Bucket(entryBucket).Count() != len(w.entries) {
			t.Errorf("%s: %d entries, %d stored", name, len(w.entries), w.tx.Bucket(entryBucket).Count())
		}
	}
}

// A breaker that a broken clock of the store would keep open for long closes after its rest.
func TestImplausibleBreaker(t *testing.T) {
	w := newWorld(t, nil)
	s := state{breaker: breaker{true, "reason", epoch, w.now.Followed + 5000*time.Hour}}
	_ = w.tx.Bucket(stateBucket).Put([]byte(stateKey), s.encode())
	w.Reload()
	w.wait(time.Hour)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, true, "learns again")
}

// The store refuses each write in turn: the call says so, and after Reload the rules go on with what the store has.
func TestFullDisk(t *testing.T) {
	for n := 1; n < 200; n++ {
		store := newCountingStore()
		w := newWorld(t, both)
		w.tx = store
		w.Reload()
		w.learn("198.51.100.1", noKeyShare)
		w.wait(time.Minute)
		before := store.clone()
		store.writes, store.failAt = 0, n
		err := errors.Join(w.tryAll())
		if err == nil {
			if t.Logf("%d writes", n-1); n < 10 {
				t.Error("too few writes to prove anything")
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("write %d: %v", n, err)
		}
		w.tx = before
		w.Reload()
		w.wait(time.Second)
		w.expect(w.suppress, "198.51.100.1", true, fmt.Sprintf("write %d failed", n))
		if err := w.tryAll(); err != nil || len(w.entries) != 0 {
			t.Errorf("write %d: %v, then %d entries", n, err, len(w.entries))
		}
	}
	t.Error("writes without end")
}

// tryAll does all that writes, until there is an error.
func (w *world) tryAll() error {
	for _, call := range []func() error{
		func() error { return w.try(client, fails(noCipher)) },
		func() error { return w.try("203.0.113.5", fails(noCipher), isScanner) },
		func() error { return w.try("198.51.100.1", delivers(1)) },
		func() error { return w.try("203.0.113.9", succeeds("TLSv1.3")) },
		func() error { return w.Withdraw(w.tx, w.now, w.lookup("198.51.100.1"), "test") },
		func() error { return w.Forget(w.tx, w.now, w.lookup(client)) },
		func() error { return w.OpenBreaker(w.tx, w.now, "test") },
		func() error { return w.Tick(w.tx, advance(w.now, 2*time.Hour)) },
	} {
		if err := call(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) try(addr string, change ...func(*maillog.Session)) error {
	s := maillog.Session{Time: w.now.Wall, End: w.now.Wall, Service: maillog.ServiceSMTP, Addr: w.lookup(addr), Name: "mail." + addr + ".example"}
	for _, c := range change {
		c(&s)
	}
	return w.Add(w.tx, w.now, &s)
}
