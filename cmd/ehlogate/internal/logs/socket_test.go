package logs

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/maillog"
	"ehlogate/lists/test/testenv"
)

// dialSocket connects to the socket of a service, when it is there.
func dialSocket(t *testing.T, path string) (c net.Conn) {
	t.Helper()
	testenv.Eventually(t, "the socket", func() bool {
		var err error
		c, err = net.Dial("unixgram", path)
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestSocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "log")
	r := start(t, Options{Socket: path, SocketOptions: server.SocketOptions{Mode: 0o620}})
	c := dialSocket(t, path)
	text := session(1, "192.0.2.1", "no shared cipher") + session(9, "192.0.2.2", "")
	for line := range strings.Lines(text) {
		if _, err := c.Write([]byte("<22>" + line)); err != nil {
			t.Fatal(err)
		}
	}
	r.awaitLines(path, countLines(text))
	testenv.Eventually(t, "the failure", func() bool { return r.Client(netip.MustParseAddr("192.0.2.1")).TLS["failed"] == 1 })
	testenv.Eventually(t, "it can be learned from", func() bool { return r.countLearned("192.0.2.1") == 1 })
	if n := r.lines(path).Unread; n != 0 {
		t.Errorf("%d lines were not understood", n)
	}
	// Its file is made anew, as after a cleaning of the directory.
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c = dialSocket(t, path)
	if _, err := c.Write([]byte("<22>x\x00")); err != nil {
		t.Fatal(err)
	}
	r.awaitLines(path, countLines(text)+1)
	r.stop()
	if kinds := r.kinds(); len(kinds) != 0 && !slices.Equal(kinds, []EventKind{Unreadable, Readable}) {
		t.Errorf("got %v", kinds)
	}
}

// A path at which no socket can be is degraded.
func TestSocketNotPossible(t *testing.T) {
	path := t.TempDir()
	r := start(t, Options{Socket: path})
	testenv.Eventually(t, "a try", func() bool {
		r.sources[0].mu.Lock()
		defer r.sources[0].mu.Unlock()
		return !r.sources[0].failing.IsZero()
	})
	r.advance.Add(int64(faultTime))
	if st := r.Status()[0]; !st.IsDegraded() || !strings.Contains(st.Error, "is not a socket") {
		t.Errorf("got %+v", st)
	}
}

// The program that sends never waits for long, however many lines it sends, and however long they are. What is too much is
// counted.
func TestSocketFlood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	r := start(t, Options{Socket: path})
	c := dialSocket(t, path)
	const lines = 50_000
	long := strings.Repeat("x", 2*maillog.MaxLineLength)
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	begin, longest := time.Now(), time.Duration(0)
	for i := range lines {
		one := time.Now()
		text := fmt.Sprintf("<22>2026-11-28T00:00:00+00:00 mx postfix/smtpd[%d]: connect from unknown[192.0.2.1]", i)
		if i%1000 == 0 {
			text = long
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(one))
	}
	testenv.Eventually(t, "all lines", func() bool { return r.lines(path).All == lines })
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v for %d lines, %d of them not read, one waited %v at most", time.Since(begin), lines, r.lines(path).Unread, longest)
	if longest > 10*time.Second { // on a busy machine a process may not run for long
		t.Errorf("a line waited for %v", longest)
	}
	if st := r.Status()[0]; st.IsDegraded() {
		t.Errorf("got %+v", st)
	}
}

// While the lines are not read, such as for a scrape that takes long, the program that sends does not wait.
func TestSocketStalled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	r := start(t, Options{Socket: path})
	c := dialSocket(t, path)
	const lines = 3 * maxQueued
	r.tally.mu.Lock()
	sent := make(chan error, 1)
	go func() {
		var err error
		for range lines {
			if _, err = c.Write([]byte("<22>2026-11-28T00:00:00+00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]")); err != nil {
				break
			}
		}
		sent <- err
	}()
	select {
	case err := <-sent:
		r.tally.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(testenv.Soon):
		r.tally.mu.Unlock()
		t.Fatal("the program that sends waits")
	}
	r.awaitLines(path, lines)
	// Kept are what is queued, what was taken from the queue at once, and the line in hand.
	if n := r.lines(path).Unread; n < lines-2*maxQueued-1 || n > lines-maxQueued {
		t.Errorf("%d lines were not read", n)
	}
}

// TestRsyslogSocket: rsyslogd sends the lines as the documents say.
func TestRsyslogSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := start(t, Options{Socket: path})
	dialSocket(t, path)
	documented, err := os.ReadFile("../../../../examples/rsyslog/ehlogate.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.ReplaceAll(string(documented), "/var/lib/ehlogate/log", path)
	if conf == string(documented) {
		t.Fatal("the example has another path")
	}
	r := startRsyslog(t, conf)
	for i := range 300 {
		r.send(i)
	}
	s.awaitLines(path, 300)
	if n := s.lines(path).Unread; n != 0 {
		t.Errorf("%d lines were not understood", n)
	}
	s.stop()
	total := uint64(300)
	for _, how := range []string{"is down", "hangs"} {
		if how == "hangs" { // a socket that no process reads from
			c, err := server.ListenDatagrams(path, server.SocketOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		const lines = 15_000 // more than the queue of the action holds
		for i := range lines {
			r.send(i)
		}
		total += lines
		testenv.Eventually(t, "ehlogate "+how+": the other log has all lines", func() bool {
			text, err := os.ReadFile(r.log)
			return err == nil && countLines(string(text)) == total
		})
	}
}
