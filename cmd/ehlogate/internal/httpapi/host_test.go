package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists/test/hostile"
)

// request sends one request with a Host header over a real connection. Without a host it is one of HTTP/1.0.
func request(t *testing.T, api *API, network, addr, path, host string) (code int, body string) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	handle, stop := ServeConn(api.Handler())
	defer stop()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if c, err := ln.Accept(); err == nil {
			handle(t.Context(), c)
		}
	}()
	c, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	if host == "" {
		head = fmt.Sprintf("GET %s HTTP/1.0\r\n\r\n", path)
	}
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", host, err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-served
	return resp.StatusCode, string(text)
}

// TestHost checks which Host headers are answered, on each kind of socket.
func TestHost(t *testing.T) {
	e := newManager(t, "[http]\nhosts = [\"MX1.example.org.\", \"mx1\", \"192.0.2.1\"]\n", map[string]string{})
	m := telemetry.NewMetrics(e)
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	api := &API{Manager: e, Metrics: m, Recorder: telemetry.NewRecorder(m, log)}
	for _, host := range []string{"", "127.0.0.1", "127.0.0.1:10045", "[::1]", "[::1]:10045", "192.0.2.77:1", "localhost", "LOCALHOST:10045", "localhost.",
		"mx1", "mx1:10045", "mx1.example.org", "mx1.Example.ORG.:10045"} {
		if code, body := request(t, api, "tcp", "127.0.0.1:0", "/healthz", host); code != http.StatusOK {
			t.Errorf("%q: %d %s", host, code, body)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:10045", "mx2", "localhost.evil.example", "127.0.0.1.evil.example", "xmx1.example.org", "mx1.example.org.evil.example",
		"evil.example:80:80", "0x7f000001", "2130706433", "127.1", "[fe80::1%evil.example]"} {
		for _, path := range []string{"/healthz", "/metrics", "/api/v1/decision?addr=192.0.2.1", "/api/v1/lists", "/api/v1/status", "/api/v1/reputation", "/nothing"} {
			code, body := request(t, api, "tcp", "127.0.0.1:0", path, host)
			if code != http.StatusMisdirectedRequest || !strings.Contains(body, "[http]") || strings.Contains(body, "{") {
				t.Errorf("%q, %s: %d %s", host, path, code, body)
			}
		}
	}
	if code, _ := request(t, api, "unix", filepath.Join(t.TempDir(), "http"), "/healthz", "anything"); code != http.StatusOK {
		t.Errorf("on a unix socket: %d", code)
	}
	if !strings.Contains(out.String(), "reason=host") || !strings.Contains(out.String(), "about=evil.example") {
		t.Errorf("logged %s", &out)
	}
	if _, body := request(t, api, "tcp", "127.0.0.1:0", "/metrics", "localhost"); !strings.Contains(body, `ehlogate_protocol_errors_total{protocol="http",reason="host"} 84`) {
		t.Errorf("not counted: %s", body)
	}
	for _, text := range hostile.Texts {
		if code, body := request(t, api, "tcp", "127.0.0.1:0", "/healthz", strings.ReplaceAll(text, "\r", "")); code < 400 || hostile.Check(body) != nil {
			t.Errorf("%q: %d %v", text, code, hostile.Check(body))
		}
	}
}
