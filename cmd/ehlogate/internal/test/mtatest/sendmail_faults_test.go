package mtatest_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// measured is one way of asking ehlogate that has no backup: without an answer STARTTLS is offered.
type measured struct {
	*table
	variant, addr string
}

// ofThisRun is what a note leaves out: ports and directories, which are others each time.
var ofThisRun = regexp.MustCompile(`banner from \S+ |/\S+/`)

// playSessions plays sessions and adds their row. The note of the row is what was said instead of an answer.
func (m measured) playSessions(t *testing.T, fault string, n, concurrency int) mtatest.Tally {
	t.Helper()
	tally := mtatest.Load(context.Background(), n, concurrency, newTraffic(m.addr, false, patience))
	note := ofThisRun.ReplaceAllString(strings.Join(tally.Errors, "; "), "")
	m.add(row{variant: m.variant, fault: fault, clients: concurrency, tally: tally, note: note})
	return tally
}

// right wants the lists' answer always.
func (m measured) right(t *testing.T, fault string) {
	t.Helper()
	if tally := m.playSessions(t, fault, 50, 10); tally.Right != tally.Sessions {
		t.Errorf("%s, %s: want the lists' answer always: %+v", m.variant, fault, tally)
	}
}

// offers wants STARTTLS offered to every client, also to those that the list denies, every other one; no sooner than after
// the wait and not much later.
func (m measured) offers(t *testing.T, fault string, n int, wait time.Duration) {
	t.Helper()
	tally := m.playSessions(t, fault, n, min(n, 10))
	if tally.Backup*2 != n || tally.Right*2 != n || tally.Max < wait || tally.Max > wait+muchLater {
		t.Errorf("%s, %s: want an offer always, after %v: %+v", m.variant, fault, wait, tally)
	}
}

// refuses wants a 451 in place of the banner, always; no sooner than after the wait and not much later.
func (m measured) refuses(t *testing.T, fault string, wait time.Duration) {
	t.Helper()
	const n = 4
	start := time.Now()
	tally := m.playSessions(t, fault, n, n)
	took := time.Since(start)
	said := func(reason string) bool { return strings.Contains(reason, ": 451 ") }
	if tally.Unanswered != n || len(tally.Errors) == 0 || !allTrue(tally.Errors, said) || took < wait || took > wait+muchLater {
		t.Errorf("%s, %s: want a 451 always, after %v: %v, %+v", m.variant, fault, wait, took, tally)
	}
}

// TestSendmailFaults measures what clients of Sendmail see while ehlogate is down, restarts, or hangs, and without its
// socket file.
func TestSendmailFaults(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	dir := tempDir(t)
	socket := filepath.Join(dir, "socketmap")
	g := startDaemon(t, "sendmail-faults", "", map[string]string{"socketmap": socket}, faultLists, faultFiles())
	tab := newTable(t, "Sendmail")
	s := startSendmail(t, sendmailInet(g.socketmap))
	inet := measured{tab, "socket map, inet", s.Addr()}
	local := measured{tab, "socket map, a file", startSendmail(t, "local:"+socket).Addr()}
	// -T changes nothing about a connection that is refused or closed: the last rule of the example is enough.
	bare := measured{tab, "socket map, inet, without -T", startSendmail(t, sendmailInet(g.socketmap), " -T<TMPF>").Addr()}
	closing, _ := answers(t)
	closed := measured{tab, "socket map, inet", startSendmail(t, sendmailInet(closing)).Addr()}
	bareClosed := measured{tab, "socket map, inet, without -T", startSendmail(t, sendmailInet(closing), " -T<TMPF>").Addr()}

	for _, m := range []measured{inet, local, bare} {
		m.right(t, "serving")
	}
	closed.offers(t, "closing every connection", 4, 0)
	bareClosed.offers(t, "closing every connection", 4, 0)
	if _, err := g.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	inet.offers(t, "down", 50, 0)
	local.offers(t, "down, its socket file is there", 50, 0)
	bare.offers(t, "down", 50, 0)
	if lines, err := s.Maillog().Lines(regexp.MustCompile(`SYSERR|srv_features`), 0); err != nil || len(lines) > 0 {
		t.Errorf("want no word about it in the log of Sendmail: %q, %v", lines, err)
	}
	if err := os.Rename(socket, socket+".away"); err != nil {
		t.Fatal(err)
	}
	local.refuses(t, "down, its socket file is missing", 0)
	if err := os.Rename(socket+".away", socket); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	inet.right(t, "started again")
	local.right(t, "started again")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	local.refuses(t, "serving, in a directory that every user may write to", 0)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := g.Hang(soon(t)); err != nil {
		t.Fatal(err)
	}
	inet.refuses(t, "hung", 2*time.Second)
	local.refuses(t, "hung", 2*time.Second)
	if _, err := s.Maillog().Await(soon(t), regexp.MustCompile(`SYSERR.*srv_features.*read timeout`), 0); err != nil {
		t.Error(err)
	}
	if err := g.Resume(); err != nil {
		t.Fatal(err)
	}
	inet.right(t, "running on")
	local.right(t, "running on")
}

// answers serves, as long as the test lives, by giving every connection the same answer, whatever it asks, and closing it.
// At first it is nothing; the returned function sets another.
func answers(t *testing.T) (addr string, set func(string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var answer atomic.Value
	answer.Store("")
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_, _ = io.WriteString(conn, answer.Load().(string)) // a client that has gone does not want it
			conn.Close()
		}
	}()
	return l.Addr().String(), func(text string) { answer.Store(text) }
}
