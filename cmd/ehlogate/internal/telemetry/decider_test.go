package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
)

// A client has its answer before the line about it is in the log.
func TestLogAfterReply(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	written, writing := io.Pipe() // a log that takes nothing until it is read
	log := logrus.New()
	log.SetOutput(writing)
	r := NewRecorder(NewMetrics(e), log)
	s := &memcache.Server{Backend: policyd.Backend{Decider: r.LoggedDecider("memcache", e), Values: e.Values, Fault: func(reason string, _ []byte) { t.Error(reason) }}}
	client, server := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		policyd.Serve(t.Context(), server, s, s.Fault)
	}()
	if _, err := io.WriteString(client, "get starttls:192.0.2.1\r\n"); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, len("VALUE starttls:192.0.2.1 0 8\r\nstarttls\r\nEND\r\n"))
	if _, err := io.ReadFull(client, reply); err != nil || !strings.HasSuffix(string(reply), "starttls\r\nEND\r\n") {
		t.Fatalf("got %q, %v", reply, err)
	}
	line := make([]byte, 1000)
	if n, err := written.Read(line); err != nil || !strings.Contains(string(line[:n]), msgSuppressed) {
		t.Errorf("logged %q, %v", line[:n], err)
	}
	client.Close()
	<-served
}

// Lines that clients keep waiting do not come at once when they read.
func TestLateLines(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	log := logrus.New()
	var out bytes.Buffer
	log.SetOutput(&out)
	r := NewRecorder(NewMetrics(e), log)
	s := &memcache.Server{Backend: policyd.Backend{Decider: r.LoggedDecider("memcache", e), Values: e.Values, Fault: func(reason string, _ []byte) { t.Error(reason) }}}
	var serving sync.WaitGroup
	var clients []net.Conn
	for range 3 { // seconds
		r.nextSecond()
		for range decisionLines {
			client, server := net.Pipe()
			clients = append(clients, client)
			serving.Go(func() { policyd.Serve(t.Context(), server, s, s.Fault) })
			if _, err := io.WriteString(client, "get starttls:192.0.2.1\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Eventually(t, "all are decided", func() bool { return r.linesLeft.Load() == 0 })
	}
	r.nextSecond()
	for _, client := range clients {
		if _, err := client.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	serving.Wait()
	r.nextSecond()
	if n := strings.Count(out.String(), msgSuppressed); n != decisionLines || !strings.Contains(out.String(), fmt.Sprint("not_logged=", 2*decisionLines)) {
		t.Errorf("%d lines:\n%s", n, &out)
	}
}

// A panic while a decision is logged is a fault, and no more.
func TestPanicInLog(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	m := NewMetrics(e)
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(panicHook{})
	r := NewRecorder(m, log)
	client := lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}
	if got := r.LoggedDecider("memcache", e).Decide(t.Context(), client); got.Action != lists.Suppress {
		t.Errorf("got %+v", got)
	}
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	if want := `ehlogate_protocol_errors_total{protocol="memcache",reason="panic"} 1`; !strings.Contains(page.Body.String(), want) {
		t.Errorf("no %s", want)
	}
}

// panicHook panics at the first line.
type panicHook struct{}

func (panicHook) Levels() []logrus.Level   { return []logrus.Level{logrus.InfoLevel} }
func (panicHook) Fire(*logrus.Entry) error { panic("boom") }
