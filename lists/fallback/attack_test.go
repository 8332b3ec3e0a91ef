package fallback

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"ehlogate/lists/maillog"
	"ehlogate/lists/test/testenv"
)

// An attacker on the path breaks the handshakes of a client that is not known yet. When the attacker leaves, the client is
// free after ten sessions, or a day.
func TestAttackerLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		sessions int
		every    time.Duration
	}{"busy client": {10, time.Minute}, "idle client": {2, day}} {
		w := newWorld(t, nil)
		for range 60 {
			w.add(client, fails(noCipher))
			w.wait(11 * time.Minute)
		}
		if w.expect(w.suppress, client, true, "under attack"); !w.hasEvent(EventConfirmed) {
			t.Error("the probes that failed did not confirm")
		}
		for range c.sessions {
			w.wait(c.every)
			if !connect(w.suppress, client) {
				w.add(client, succeeds("TLSv1.3"))
			}
		}
		w.expect(w.suppress, client, false, name)
		for range 1000 {
			w.wait(31 * time.Minute)
			w.add(client, fails(noCipher))
			w.expect(w.suppress, client, false, name+" is attacked again")
		}
	}
}

// Clients behind one address share what it did: if one of them completes TLS, none is suppressed.
func TestSharedAddress(t *testing.T) {
	for _, first := range []bool{true, false} {
		w := newWorld(t, nil)
		if first {
			w.add(client, succeeds("TLSv1.3"), delivers(1))
			w.wait(time.Hour)
		}
		w.learn(client, noCipher)
		w.expect(w.suppress, client, !first, "one of them fails")
		w.wait(time.Minute)
		w.add(client, succeeds("TLSv1.2"))
		w.wait(time.Hour)
		w.learn(client, noCipher)
		w.expect(w.suppress, client, false, "one succeeds, one fails")
	}
}

// readLog reads lines of Postfix as a daemon that follows its log.
func (w *world) readLog(lines string) {
	w.Helper()
	r := maillog.NewReader(maillog.Options{Zone: time.UTC, Newest: w.now.Wall}, func(s *maillog.Session) {
		if err := w.Add(w.tx, w.now, s); err != nil {
			w.Fatal(err)
		}
	})
	for line := range bytes.Lines([]byte(lines)) {
		r.Read(bytes.TrimSuffix(line, []byte("\n")))
	}
	r.Flush()
	w.publish()
}

// postfixFailure is a handshake that fails, in the words of Postfix.
func postfixFailure(at time.Time, process int, client, reason string) string {
	begin := fmt.Sprintf("%s mx postfix/smtpd[%d]: ", at.Format("2006-01-02T15:04:05.000000-07:00"), process)
	return begin + "connect from " + client + "\n" + begin + "SSL_accept error from " + client + ": -1\n" +
		begin + "warning: TLS library problem: error:0A000000:SSL routines::" + reason + ":../ssl/x.c:1:\n" +
		begin + "lost connection after STARTTLS from " + client + "\n" + begin + "disconnect from " + client + " ehlo=1 starttls=0/1 commands=1/2\n"
}

func postfixSuccess(at time.Time, process int, client string) string {
	begin := fmt.Sprintf("%s mx postfix/smtpd[%d]: ", at.Format("2006-01-02T15:04:05.000000-07:00"), process)
	return begin + "connect from " + client + "\n" +
		begin + "Anonymous TLS connection established from " + client + ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n" +
		begin + "disconnect from " + client + " ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7\n"
}

// A service such as internet.nl tries ways of TLS within seconds, day by day: from one address, from several, with a name
// of another domain, and with or without a success.
func TestTestSites(t *testing.T) {
	for name, c := range map[string]struct {
		success bool
		apart   time.Duration // of the ways
	}{"with success": {true, 300 * time.Millisecond}, "without": {false, 300 * time.Millisecond}, "slowly": {false, 50 * time.Second}} {
		w := newWorld(t, nil)
		scanner := "scan.example[" + client + "]"
		for range 40 {
			at, log := w.now.Wall.Add(-3*time.Minute), ""
			for i, reason := range []string{"unsupported protocol", "version too low", "no shared cipher"} {
				log += postfixFailure(at.Add(time.Duration(i)*c.apart), 100+i, scanner, reason)
			}
			if c.success {
				log += postfixSuccess(at.Add(time.Minute), 104, scanner)
			}
			w.readLog(log)
			w.expect(w.suppress, client, false, name)
			w.wait(31 * time.Minute)
		}
	}
	w := newWorld(t, nil) // the reader of the log and the rules do learn from such lines
	for range 3 {
		w.readLog(postfixFailure(w.now.Wall.Add(-time.Minute), 100, "mail.printer.example["+client+"]", "no shared cipher"))
		w.wait(31 * time.Minute)
	}
	w.expect(w.suppress, client, true, "one way")
}

// This server is at fault, and all clients fail: those that completed TLS before, and those that are new. For two days they
// retry. None is suppressed that completed TLS; and of the others none, where the fault shows.
func TestOwnFault(t *testing.T) {
	for name, c := range map[string]struct {
		class string
		pool  int // clients of one network
	}{
		"certificate expired":             {"alert-certificate-expired", 1},
		"key missing":                     {"local-problem", 1},
		"TLS 1.2 only":                    {oldVersion, 1},
		"TLS 1.2 only, five networks":     {oldVersion, 20},
		"TLS 1.2 only, two networks":      {oldVersion, 50},
		"TLS 1.2 only, one large network": {oldVersion, 100},
		"connection breaks":               {"lost-connection", 1},
	} {
		w := newWorld(t, usual)
		addr := func(i int) string { return fmt.Sprintf("198.51.%d.%d", i/c.pool, 1+i%c.pool) }
		name2 := func(i int) func(*maillog.Session) { return named(fmt.Sprintf("mail.client%d.example", i)) }
		for i := range 50 { // the others are new
			w.add(addr(i), succeeds("TLSv1"), name2(i))
		}
		w.wait(10 * day)
		most := 0
		for minute := range 8 * 60 { // until the operator mends it
			for i := range 100 {
				if (minute+i)%31 == 0 {
					w.add(addr(i), fails(c.class), name2(i))
				}
			}
			w.wait(time.Minute)
			for i := range 50 {
				w.expect(w.suppress, addr(i), false, name)
			}
			if minute < 60 {
				most = max(most, w.Table().Len())
			}
		}
		if !w.hasEvent(EventBreakerOpen) && c.class != "lost-connection" && c.pool < 100 { // all are immune there
			t.Errorf("%s: the breaker did not open", name)
		}
		if most > 0 {
			t.Errorf("%s: %d entries in the first hour", name, most)
		}
		if n := w.Table().Len(); n > 0 && c.class != oldVersion {
			t.Errorf("%s: %d entries", name, n)
		}
		t.Logf("%s: %d entries after eight hours", name, w.Table().Len())
	}
}

// A million addresses fail, each twice in two ways or once: what is kept stays bounded, and so is what a call does.
func TestMillionAddresses(t *testing.T) {
	const kept = 5_000
	store := newCountingStore()
	w := newWorld(t, func(o *Options) { o.MaxEvidence, o.MaxImmune = kept, kept })
	w.tx = store
	w.Reload()
	most, walked, clients := 0, 0, 1_000_000
	if testenv.Race { // which is about goroutines; there is one here
		clients = 100_000
	}
	for i := range clients {
		writes, visits := store.writes, store.visits
		addr := fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff)
		switch i % 4 {
		case 0:
			w.addQuickly(addr, fails(noCipher), isScanner)
		case 1:
			w.addQuickly(addr, succeeds("TLSv1.3"))
		case 2:
			w.addQuickly(addr, fails("wrong-version-number"), delivers(1))
		default:
			w.addQuickly(addr, fails(noCipher))
		}
		if i%1000 == 0 {
			w.wait(time.Minute)
		}
		most, walked = max(most, store.writes-writes), max(walked, store.visits-visits)
	}
	for name, b := range store.buckets {
		if len(b.m) > kept {
			t.Errorf("%d records in %s; want at most %d", len(b.m), name, kept)
		}
	}
	if most > 20 || walked > 4*(pruneWalk+1) {
		t.Errorf("one call wrote %d records and visited %d", most, walked)
	}
	t.Logf("one call wrote at most %d records and visited at most %d", most, walked)
	if w.Table().Len() != 0 {
		t.Errorf("%d entries", w.Table().Len())
	}
}

// addQuickly is add without publishing.
func (w *world) addQuickly(addr string, change ...func(*maillog.Session)) {
	s := maillog.Session{Time: w.now.Wall, End: w.now.Wall, Service: maillog.ServiceSMTP, Addr: w.lookup(addr)}
	for _, c := range change {
		c(&s)
	}
	if err := w.Add(w.tx, w.now, &s); err != nil {
		w.Fatal(err)
	}
}

// An attacker with a network of IPv6 has all addresses in it, and cannot take the place of all other clients.
func TestOneNetworkTakesNotAll(t *testing.T) {
	w := newWorld(t, manySessions)
	for round := range 3 {
		for i := range 300 {
			w.add(fmt.Sprintf("2001:db9:1:%x::1", i), fails(noCipher), named(fmt.Sprintf("h%d.attacker.example", i)))
		}
		if round < 2 {
			w.wait(31 * time.Minute)
		}
	}
	if n := len(w.entries); n != 20 {
		t.Errorf("%d entries of one network; want 20", n)
	}
	w.learn(client, noCipher)
	w.expect(w.suppress, client, true, "beside an attacker")
}
