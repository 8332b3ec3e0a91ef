package tlspolicy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Faults of a policy host. The policy itself is always valid.
func TestFetch(t *testing.T) {
	policy := enforce(day)
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.certificate(t, base.AddDate(1, 0, 0), hostName)
	text := func(media string) http.HandlerFunc {
		return func(out http.ResponseWriter, _ *http.Request) {
			out.Header()["Content-Type"] = []string{media}
			io.WriteString(out, policy)
		}
	}
	plain := text("text/plain")
	for name, tc := range map[string]struct {
		cert    tls.Certificate
		most    uint16 // version of TLS
		handler http.HandlerFunc
		want    string // of the error; "": there is none
	}{
		"good":     {handler: plain},
		"wildcard": {handler: plain, cert: ca.certificate(t, base.AddDate(1, 0, 0), "*.example.org")},
		"another media type": {handler: text("text/html"),
			want: `has the media type "text/html": must be text/plain`},
		"no media type":     {handler: text(""), want: "media type"},
		"a charset":         {handler: text("Text/Plain; charset=utf-8")},
		"a broken charset":  {handler: text("text/plain; charset=")},
		"another authority": {handler: plain, cert: other.certificate(t, base.AddDate(1, 0, 0), hostName), want: "unknown authority"},
		"expired":           {handler: plain, cert: ca.certificate(t, base.Add(-time.Hour), hostName), want: "expired"},
		"another host":      {handler: plain, cert: ca.certificate(t, base.AddDate(1, 0, 0), "www.example.org", "example.org"), want: "not mta-sts.example.org"},
		"TLS 1.1":           {handler: plain, most: tls.VersionTLS11, want: "protocol version"},
		"404":               {handler: http.NotFound, want: "404"},
		"500":               {handler: func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(500) }, want: "500"},
		"201": {handler: func(out http.ResponseWriter, in *http.Request) {
			out.Header().Set("Content-Type", "text/plain")
			out.WriteHeader(201)
			io.WriteString(out, policy)
		}, want: "201"},
		"a redirect": {handler: func(out http.ResponseWriter, in *http.Request) {
			if in.URL.Path == "/policy" {
				plain(out, in)
				return
			}
			http.Redirect(out, in, "/policy", http.StatusMovedPermanently)
		}, want: `301 Moved Permanently" and redirects to "/policy", which senders must not follow`},
		"too large": {handler: func(out http.ResponseWriter, in *http.Request) {
			plain(out, in)
			out.Write(bytes.Repeat([]byte("a: 1\n"), maxPolicySize))
		}, want: "larger than 65536 bytes"},
		"endless headers": {handler: func(out http.ResponseWriter, in *http.Request) {
			out.Header().Set("X", strings.Repeat("x", 2*maxPolicySize))
			plain(out, in)
		}, want: "server response headers exceeded"},
		"cut short": {handler: func(out http.ResponseWriter, in *http.Request) {
			out.Header().Set("Content-Length", "4096")
			plain(out, in)
		}, want: "unexpected EOF"},
		"hangs up":     {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: "EOF"},
		"not a policy": {handler: func(out http.ResponseWriter, in *http.Request) { out.Header().Set("Content-Type", "text/plain") }, want: "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			// Nothing in the environment leads elsewhere.
			t.Setenv("HTTPS_PROXY", "http://192.0.2.99:1")
			w := newWorld(t)
			w.publish("a", policy)
			server := httptest.NewUnstartedServer(tc.handler)
			server.Config.ErrorLog = quiet
			if tc.cert.Certificate == nil {
				tc.cert = good
			}
			server.TLS = &tls.Config{Certificates: []tls.Certificate{tc.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tc.most}
			server.StartTLS()
			defer server.Close()
			w.web, w.roots = server, ca.certPool()
			w.start()
			d := w.domain()
			if tc.want == "" {
				if d.MTASTS.State != Enforce || d.Error != "" {
					t.Errorf("%+v", d)
				}
			} else if d.MTASTS.State != Unknown || !strings.Contains(d.Error, tc.want) || d.Commitment != Assumed {
				t.Errorf("%+v\nwant %s", d, tc.want)
			}
		})
	}
}

// A policy may have maxPolicySize.
func TestLargestPolicy(t *testing.T) {
	w := newWorld(t)
	policy := enforce(day)
	w.publish("a", policy+"x: "+strings.Repeat("x", maxPolicySize-len(policy)-3))
	if d := w.domain(); d.MTASTS.State != Enforce {
		t.Errorf("%+v", d)
	}
}

// The host is looked up at the configured resolvers, and any of its addresses will do.
func TestAddresses(t *testing.T) {
	a, aaaa := hostName+" A", hostName+" AAAA"
	for name, tc := range map[string]struct {
		set  func(*resolver)
		want string
	}{
		"the second address": {func(r *resolver) { r.setAnswer(a, "192.0.2.2", "192.0.2.1") }, ""},
		"IPv6 is out of reach": {func(r *resolver) {
			r.setAnswer(aaaa, "2001:db8::1")
			r.setAnswer(a, "192.0.2.1")
		}, ""},
		"IPv6 fails":    {func(r *resolver) { r.failQueries(aaaa) }, ""},
		"IPv4 fails":    {func(r *resolver) { r.failQueries(a) }, "servfail"},
		"no address":    {func(r *resolver) { r.setAnswer(a) }, "mta-sts.example.org has no address"},
		"no host there": {func(r *resolver) { r.setAnswer(a, "192.0.2.2") }, "no host at 192.0.2.2:443"},
		"only IPv6":     {func(r *resolver) { r.setAnswer(a); r.setAnswer(aaaa, "2001:db8::1") }, "no host at [2001:db8::1]:443"},
		"too many of them": {func(r *resolver) {
			r.setAnswer(a, append(strings.Fields(strings.Repeat("192.0.2.2 ", maxAddresses)), "192.0.2.1")...)
		}, "no host at"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a", enforce(day))
			tc.set(w.dns)
			d := w.domain()
			if tc.want == "" && d.Error != "" || !strings.Contains(d.Error, tc.want) || (d.Error == "") != (d.MTASTS.State == Enforce) {
				t.Errorf("%+v\nwant %q", d, tc.want)
			}
		})
	}
}

// A host that does not answer takes a bounded time.
func TestSlowHosts(t *testing.T) {
	hole := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	// What is written to a pipe is read, and that is all.
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		local, remote := net.Pipe()
		go func() {
			io.Copy(io.Discard, remote)
			remote.Close()
		}()
		return local, nil
	}
	ca := newAuthority(t)
	cert := ca.certificate(t, base.AddDate(10, 0, 0), hostName)
	// The policy comes byte by byte.
	slow := func(ctx context.Context, _, _ string) (net.Conn, error) {
		local, remote := net.Pipe()
		go func() {
			conn := tls.Server(remote, &tls.Config{Certificates: []tls.Certificate{cert}, Time: func() time.Time { return base }})
			defer remote.Close()
			if _, err := conn.Read(make([]byte, 4096)); err != nil {
				return
			}
			text := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + enforce(day)
			for i := range len(text) {
				time.Sleep(time.Second)
				if _, err := conn.Write([]byte{text[i]}); err != nil {
					return
				}
			}
		}()
		return local, nil
	}
	for name, tc := range map[string]struct {
		dial  Dial
		addrs []string
		took  time.Duration
	}{
		"one black hole":   {hole, []string{"192.0.2.1"}, dialTimeout},
		"nine black holes": {hole, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.2.9"}, fetchTimeout},
		"silence":          {silent, []string{"192.0.2.1"}, fetchTimeout},
		"a slow body":      {slow, []string{"192.0.2.1"}, fetchTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResolver()
				r.setAnswer("_mta-sts.example.org TXT", `"v=STSv1; id=a"`)
				r.setAnswer(hostName+" A", tc.addrs...)
				g := New(Options{Domains: []string{domainName}, Local: true, Roots: ca.certPool(), Dial: tc.dial}, r, func() time.Time { return base })
				began := time.Now()
				g.Check(t.Context())
				if took := time.Since(began); took != tc.took {
					t.Errorf("it took %s", took)
				}
				if d := g.Report().Domains[0]; d.Commitment != Assumed || d.Error == "" {
					t.Errorf("%+v", d)
				}
				time.Sleep(2 * time.Second) // the slow one notices
			})
		})
	}
}

// A Monitor that ends waits for no host.
func TestCancelledFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResolver()
		r.setAnswer("_mta-sts.example.org TXT", `"v=STSv1; id=a"`)
		r.setAnswer(hostName+" A", "192.0.2.1")
		lines := new(recorder)
		var open atomic.Int32
		g := New(Options{Domains: []string{domainName}, Notify: lines.notify, Dial: func(context.Context, string, string) (net.Conn, error) {
			local, remote := net.Pipe()
			open.Add(1)
			go func() {
				io.Copy(io.Discard, remote)
				open.Add(-1)
			}()
			return local, nil
		}}, r, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			g.Run(ctx)
		}()
		synctest.Wait()
		if open.Load() != 1 {
			t.Fatal("nothing is fetched")
		}
		began := time.Now()
		cancel()
		<-ended
		synctest.Wait()
		if open.Load() != 0 || time.Since(began) != 0 {
			t.Errorf("%d connections after %s", open.Load(), time.Since(began))
		}
		if d := g.Report().Domains[0]; d.Error != "" || !d.Checked.IsZero() {
			t.Errorf("the end of the process is taken for a failed check: %+v", d)
		}
		if n := len(lines.recorded()); n != 0 {
			t.Errorf("%d events", n)
		}
	})
}
