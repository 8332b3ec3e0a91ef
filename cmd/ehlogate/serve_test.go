package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
)

// daemon is serve in this process, on Unix sockets in a directory.
type daemon struct {
	t    *testing.T
	dir  string
	hup  chan os.Signal
	stop context.CancelFunc
	done chan struct{}
	err  error
	log  syncBuffer
}

// syncBuffer can be written and read at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startDaemon serves conf, to which a [listen] with all protocols is added, with the list files in lists, and waits until
// it answers.
func startDaemon(t *testing.T, conf string, lists map[string]string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir(), hup: make(chan os.Signal), done: make(chan struct{})}
	for name, text := range lists {
		d.writeFile(name, text)
	}
	d.writeFile("c.toml", fmt.Sprintf("%s\n[listen]\nmemcache = [%q]\nsocketmap = [%q]\ntcp_table = [%q]\npolicy = [%q]\nmilter = [%q]\nhttp = [%q]\nmax_connections = 50\n",
		conf, d.socketPath("memcache"), d.socketPath("socketmap"), d.socketPath("tcp_table"), d.socketPath("policy"), d.socketPath("milter"), d.socketPath("http")))
	ctx, cancel := context.WithCancel(t.Context())
	d.stop = cancel
	go func() {
		defer close(d.done)
		d.err = serve(ctx, &options{config: filepath.Join(d.dir, "c.toml")}, d.hup, &d.log)
	}()
	t.Cleanup(func() { cancel(); <-d.done })
	d.waitUntil("serving", func() bool {
		return strings.Contains(d.log.String(), "msg=serving") || strings.Contains(d.log.String(), `"msg":"serving"`)
	})
	return d
}

func (d *daemon) socketPath(name string) string { return filepath.Join(d.dir, name+".sock") }

func (d *daemon) writeFile(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) waitUntil(what string, ok func() bool) {
	d.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { // polls a condition
		select {
		case <-d.done:
			d.t.Fatalf("%s: ended with %v\n%s", what, d.err, d.log.String())
		default:
		}
		if time.Now().After(end) {
			d.t.Fatalf("%s never came true\n%s", what, d.log.String())
		}
	}
}

func (d *daemon) connect(name string) net.Conn {
	d.t.Helper()
	c, err := net.Dial("unix", d.socketPath(name))
	if err != nil {
		d.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	d.t.Cleanup(func() { c.Close() })
	return c
}

// queryMemcache sends a memcache lookup on c and returns the lines of the reply.
func queryMemcache(c net.Conn, key string) (lines []string, err error) {
	if _, err := fmt.Fprintf(c, "get %s\r\n", key); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines, err
		}
		if lines = append(lines, strings.TrimSpace(line)); line == "END\r\n" {
			return lines, nil
		}
	}
}

func (d *daemon) suppressed(addr string) bool {
	d.t.Helper()
	c := d.connect("memcache")
	defer c.Close()
	lines, err := queryMemcache(c, "starttls:"+addr)
	if err != nil {
		d.t.Fatal(err)
	}
	return len(lines) == 3
}

func (d *daemon) getHTTP(path string) (int, string) {
	d.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", d.socketPath("http")) }}}
	resp, err := client.Get("http://ehlogate" + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

const denyList = "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"

func TestServe(t *testing.T) {
	defer goleak.VerifyNone(t)
	d := startDaemon(t, denyList, map[string]string{"deny.list": "192.0.2.1\n"})
	if !d.suppressed("192.0.2.1") || d.suppressed("192.0.2.2") {
		t.Error("wrong answers")
	}
	for name, qa := range map[string][2]string{
		"socketmap": {"18:starttls 192.0.2.1,22:srv_features 192.0.2.2,", "11:OK starttls,9:NOTFOUND ,"},
		"tcp_table": {"get 192.0.2.1\nget 192.0.2.2\n", "200 starttls\n500 offer\n"},
	} {
		c := d.connect(name)
		io.WriteString(c, qa[0])
		c.(*net.UnixConn).CloseWrite() // the daemon then closes its side
		if got, err := io.ReadAll(c); string(got) != qa[1] || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, qa[1])
		}
	}
	// An edit takes effect by itself, a broken one does not, and a connection
	// that was open before sees the new state.
	old := d.connect("memcache")
	if lines, err := queryMemcache(old, "starttls:192.0.2.2"); len(lines) != 1 || err != nil {
		t.Fatalf("got %q, %v", lines, err)
	}
	d.writeFile("deny.list", "192.0.2.2\n")
	d.waitUntil("the edit", func() bool { return d.suppressed("192.0.2.2") })
	if lines, err := queryMemcache(old, "starttls:192.0.2.2"); len(lines) != 3 || err != nil {
		t.Errorf("on an open connection: %q, %v", lines, err)
	}
	d.writeFile("deny.list", "192.0.2.3/33\n")
	d.waitUntil("the report", func() bool { return strings.Contains(d.log.String(), "deny.list:1:1") })
	if code, body := d.getHTTP("/healthz"); code != 200 || !strings.Contains(body, "invalid prefix length") || !d.suppressed("192.0.2.2") {
		t.Errorf("healthz after a broken edit: %d %s", code, body)
	}

	// SIGHUP.
	conf, err := os.ReadFile(filepath.Join(d.dir, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	d.writeFile("deny.list", "192.0.2.4\n")
	d.writeFile("c.toml", "default = \"suppress\"\nguard.off = true\n"+string(conf))
	d.hup <- syscall.SIGHUP
	d.waitUntil("the reload", func() bool { return d.suppressed("203.0.113.1") })

	if code, body := d.getHTTP("/metrics"); code != 200 || !strings.Contains(body, `ehlogate_decisions_total{action="suppress",list="deny",protocol="socketmap"} 1`) {
		t.Errorf("metrics: %d %s", code, body)
	}

	// Stop: the idle connection ends, the socket file stays, the exit is 0.
	d.stop()
	<-d.done
	if d.err != nil {
		t.Errorf("stopped with %v", d.err)
	}
	if _, err := queryMemcache(old, "starttls:192.0.2.2"); err == nil {
		t.Error("a connection outlived the daemon")
	}
	if _, err := os.Stat(d.socketPath("memcache")); err != nil {
		t.Errorf("the socket file is gone: %v", err)
	}
}

// hostileFrames returns broken requests, by protocol.
func hostileFrames() map[string][]string {
	endless := strings.Repeat("a", 1<<16)
	return map[string][]string{
		"memcache":  {"get " + endless, "set a 0 0 4294967295\r\n", "\x00\xff\r\n", "get starttls:192.0.2.1", strings.Repeat("get x:y\r\n", 2000), ""},
		"socketmap": {"4294967295:" + endless, "0:,0:,", "99999:", "18:starttls 192", "x", ""},
		"tcp_table": {endless, "get %\nget %zz\nput a b\n", "get 192", ""},
		"policy":    {endless, "request=smtpd_access_policy\nno equals sign\n\n", "\n", "request=smtpd_access_policy\n" + strings.Repeat("a=b\n", 1<<15), "request=smtpd", ""},
		"milter":    {"\x00\x00\x00\x00", "\xff\xff\xff\xff" + endless, "\x00\x01\xff\xffC" + endless, "\x00\x00\x00\x01E\x00\x00\x00\x01A\x00\x00\x00\x02Dx", "\x00", ""},
		"http":      {"GET / HTTP/1.1\r\n", endless, "\x16\x03\x01", ""},
	}
}

// TestHostileClients checks that broken, oversized and half requests, on more connections than are allowed, cost other
// clients nothing, and no more memory than the limits allow.
func TestHostileClients(t *testing.T) {
	defer goleak.VerifyNone(t)
	d := startDaemon(t, denyList, map[string]string{"deny.list": "192.0.2.1\n"})
	before := heapBytes()
	var wg sync.WaitGroup
	for name, frames := range hostileFrames() {
		for i := range 120 {
			wg.Go(func() {
				c, err := net.Dial("unix", d.socketPath(name))
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				io.WriteString(c, frames[i%len(frames)]) // fails if the daemon closes the connection
				io.Copy(io.Discard, io.LimitReader(c, 1<<20))
			})
		}
	}
	// Meanwhile a good client asks. It may lose its place to a newcomer while
	// it pauses, as any idle client at the cap, and then comes back.
	c := d.connect("memcache")
	for range 300 {
		lines, err := queryMemcache(c, "starttls:192.0.2.1")
		if err != nil && len(lines) == 0 {
			c.Close()
			c = d.connect("memcache")
			continue
		}
		if len(lines) != 3 || err != nil {
			t.Fatalf("got %q, %v", lines, err)
		}
	}
	d.waitUntil("all are counted", func() bool {
		_, body := d.getHTTP("/metrics")
		for _, want := range []string{`protocol="memcache",reason="oversize"`, `protocol="memcache",reason="map"`, `protocol="socketmap",reason="oversize"`,
			`protocol="socketmap",reason="malformed"`, `protocol="tcp_table",reason="key"`, `protocol="tcp_table",reason="command"`, `protocol="memcache",reason="evicted"`,
			`protocol="policy",reason="malformed"`, `protocol="policy",reason="oversize"`, `protocol="milter",reason="malformed"`, `protocol="milter",reason="oversize"`} {
			if !strings.Contains(body, want) {
				return false
			}
		}
		return true
	})
	if grown := heapBytes() - before; grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	d.stop()
	<-d.done
	wg.Wait()
	if d.err != nil {
		t.Error(d.err)
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStartWithBrokenList checks that a list that cannot be loaded does not prevent the start.
func TestStartWithBrokenList(t *testing.T) {
	d := startDaemon(t, denyList, map[string]string{"deny.list": "not an entry\n"})
	if code, body := d.getHTTP("/healthz"); code != 503 || !strings.Contains(body, "deny.list:1:5") {
		t.Errorf("healthz: %d %s", code, body)
	}
	if d.suppressed("192.0.2.1") {
		t.Error("an unavailable list suppresses")
	}
	d.writeFile("deny.list", "192.0.2.1\n")
	d.waitUntil("the repaired list", func() bool { return d.suppressed("192.0.2.1") })
	if code, _ := d.getHTTP("/healthz"); code != 200 {
		t.Errorf("healthz: %d", code)
	}
}

// TestReachableFromElsewhere checks the warning about a socket that other machines can reach.
func TestReachableFromElsewhere(t *testing.T) {
	var out syncBuffer
	lines := newLogWriter(&out, logformat.New(false))
	log := newLogger(config.Defaults().Log, lines)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		sockets, _, err := openSockets(nil, &config.Listen{Explicit: true, Addresses: map[string][]string{"http": {addr}}}, log)
		if err != nil {
			t.Fatal(err)
		}
		sockets[0].Close()
	}
	lines.Close()
	if n := strings.Count(out.String(), "other machines may reach"); n != 1 || !strings.Contains(out.String(), `listener="0.0.0.0:`) {
		t.Error(out.String())
	}
}

// TestMilterPanicIsAFault checks that a panic that go-milter caught is counted and logged, like any other.
func TestMilterPanicIsAFault(t *testing.T) {
	var out syncBuffer
	lines := newLogWriter(&out, logformat.New(false))
	log := newLogger(config.Defaults().Log, lines)
	eng := state.New(config.Defaults(), nil, clock, log)
	w := milterLog{log, telemetry.NewRecorder(telemetry.NewMetrics(eng), log)}
	fmt.Fprintf(w, "Error reading milter command: %v\n", io.ErrUnexpectedEOF)
	fmt.Fprintf(w, "panic handling command: %v\n%s", "boom", "stack")
	lines.Close()
	if got := out.String(); strings.Contains(got, "reading") || !strings.Contains(got, "boom") || !strings.Contains(got, "reason=panic") {
		t.Error(got)
	}
}
