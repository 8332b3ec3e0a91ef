package telemetry

import (
	"bytes"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists"
)

const hideConf = `
[[list]]
name = "deny"
action = "suppress"
hide = ["dsn"]
files = ["deny.list"]
[[list]]
name = "strangers"
hide = ["chunking", "etrn"]
files = ["strangers.list"]
services = ["smtp", "submission"]
[[list]]
name = "quiet"
hide = ["vrfy", "silent-discard"]
files = ["quiet.list"]
[[list]]
name = "trial"
hide = ["size"]
mode = "observe"
files = ["trial.list"]
[[list]]
name = "last"
hide = ["auth"]
files = ["last.list"]
`

// What is hidden besides STARTTLS is logged in the line of the session, with the lists, and counted by keyword.
func TestHiddenKeywords(t *testing.T) {
	for _, tc := range []struct {
		mode, addr string
		service    lists.Service
		line       []string // parts of the only line; none: there is no line
	}{
		{addr: "192.0.2.1", line: []string{`msg="STARTTLS suppressed"`, "list=deny", "keywords=dsn", "hidden_by=deny"}},
		{addr: "192.0.2.2", line: []string{`msg="EHLO keywords hidden"`, "list=strangers", `keywords="chunking, etrn"`, "entry=192.0.2.2"}},
		{addr: "192.0.2.2", service: lists.Submission, line: []string{`msg="EHLO keywords hidden"`, "service=submission"}},
		{addr: "192.0.2.3"},
		{addr: "192.0.2.4", line: []string{`msg="observed: EHLO keywords would be hidden"`, "keywords=size", "hidden_by=trial"}},
		{addr: "192.0.2.5"},
		{addr: "192.0.2.6", line: []string{`msg="EHLO keywords hidden"`, "list=last", "keywords=auth", "hidden_by=last", `observed="hide size by trial"`}},
		{addr: "192.0.2.7", line: []string{`msg="STARTTLS suppressed"`, "list=deny", "hidden_by=deny", `observed="hide size by trial"`}},
		{addr: "192.0.2.2", mode: `mode = "observe"`, line: []string{`msg="observed: EHLO keywords would be hidden"`, "hidden_by=strangers"}},
	} {
		e := newManager(t, tc.mode+hideConf, map[string]string{"deny.list": "192.0.2.1\n192.0.2.7\n", "strangers.list": "192.0.2.2\n", "quiet.list": "192.0.2.3\n",
			"trial.list": "192.0.2.4\n192.0.2.6\n192.0.2.7\n", "last.list": "192.0.2.6\n"})
		var out bytes.Buffer
		log := logrus.New()
		logschema.Watch(t, log)
		log.SetOutput(&out)
		NewRecorder(NewMetrics(e), log).LoggedDecider("memcache", e).Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr(tc.addr), Service: tc.service})
		if n := strings.Count(out.String(), "\n"); n != min(len(tc.line), 1) {
			t.Errorf("%s: %d lines: %s", tc.addr, n, out.String())
		}
		for _, part := range tc.line {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: %s is not in %s", tc.addr, part, out.String())
			}
		}
	}
}

func TestHiddenIsCounted(t *testing.T) {
	e := newManager(t, hideConf, map[string]string{"deny.list": "192.0.2.1\n", "strangers.list": "192.0.2.1\n", "quiet.list": "192.0.2.3\n", "trial.list": "192.0.2.1\n", "last.list": "192.0.2.9\n"})
	m := NewMetrics(e)
	d := NewRecorder(m, logrus.New()).LoggedDecider("memcache", e)
	scrape := func() string {
		r := httptest.NewRecorder()
		m.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
		return r.Body.String()
	}
	series := []string{`hidden_total{keyword="dsn",list="deny"}`, `hidden_total{keyword="etrn",list="strangers"}`, `observed_total{action="hide",list="trial",protocol="memcache"}`}
	for n := range 3 {
		text := scrape()
		for _, s := range series {
			if want := s + " " + string(rune('0'+n)) + "\n"; !strings.Contains(text, want) {
				t.Errorf("after %d sessions %q is missing", n, want)
			}
		}
		if want := `hidden_total{keyword="vrfy",list="quiet"} 0`; !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
		d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr("192.0.2.1")})
	}
}
