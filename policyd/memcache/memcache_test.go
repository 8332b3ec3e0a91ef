package memcache

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/policyd"
	"ehlogate/policyd/internal/prototest"
)

func TestDialogues(t *testing.T) {
	plain := policyd.NewValues([]string{"chunking"}, false)
	explicit := policyd.NewValues([]string{"chunking"}, true)
	for _, tc := range []struct {
		in, out string
		words   *policyd.Values
		faults  []string
		end     bool // the connection ends
	}{
		{in: "get starttls:192.0.2.1\r\n", out: "VALUE starttls:192.0.2.1 0 18\r\nchunking, starttls\r\nEND\r\n"},
		{in: "get starttls:IPv6:::ffff:192.0.2.1\r\n", out: "VALUE starttls:IPv6:::ffff:192.0.2.1 0 18\r\nchunking, starttls\r\nEND\r\n"},
		{in: "get starttls:192.0.2.2\r\n", out: "END\r\n"},
		{in: "get starttls:2001:db8::1\n", out: "END\r\n"},
		{in: "get starttls:192.0.2.2\r\n", words: explicit, out: "VALUE starttls:192.0.2.2 0 24\r\nchunking, silent-discard\r\nEND\r\n"},
		{in: "get starttls:192.0.2.1\r\n", words: policyd.NewValues(nil, true), out: "VALUE starttls:192.0.2.1 0 8\r\nstarttls\r\nEND\r\n"},
		{in: "get starttls:192.0.2.2 starttls:192.0.2.1 helo:ylmf-pc\r\n", out: "VALUE starttls:192.0.2.1 0 18\r\nchunking, starttls\r\nVALUE helo:ylmf-pc 0 12\r\nHELO ylmf-pc\r\nEND\r\n"},
		{in: "get helo:YLMF-PC\r\n", out: "VALUE helo:YLMF-PC 0 12\r\nHELO YLMF-PC\r\nEND\r\n"},
		{in: "get helo:mail.example\r\n", out: "END\r\n"},
		{in: "get helo:mail.example\r\n", words: explicit, out: "END\r\n"}, // an offer leaves the command alone
		{in: "get starttls:192.0.2.3\r\n", out: "VALUE starttls:192.0.2.3 0 13\r\nchunking, dsn\r\nEND\r\n"},
		{in: "get starttls:192.0.2.4\r\n", out: "END\r\n"},
		{in: "get submission:192.0.2.1\r\n", out: "END\r\n"}, // never starttls
		{in: "get submission:192.0.2.3\r\n", out: "VALUE submission:192.0.2.3 0 14\r\nchunking, auth\r\nEND\r\n"},
		{in: "get submission:unknown\r\n", out: "END\r\n", faults: []string{"key"}},
		{in: "get starttls:unknown\r\n", out: "END\r\n", faults: []string{"key"}},
		{in: "get starttls:unknown\r\n", words: explicit, out: "VALUE starttls:unknown 0 24\r\nchunking, silent-discard\r\nEND\r\n", faults: []string{"key"}},
		{in: "get starttls:" + strings.Repeat("x", 300) + "\r\n", out: "END\r\n", faults: []string{"key"}},
		{in: "get helo:\r\n", out: "END\r\n", faults: []string{"key"}},
		{in: "get other:192.0.2.1\r\n", out: "END\r\n", faults: []string{"map"}},
		{in: "get\r\n", out: "ERROR\r\n", faults: []string{"command"}},
		{in: "\r\n", out: "ERROR\r\n", faults: []string{"command"}},
		{in: "stats\r\nversion\r\n", out: "ERROR\r\nVERSION ehlogate\r\n", faults: []string{"command"}},
		{in: "set starttls:192.0.2.2 0 3600 3\r\na\nb\r\nget starttls:192.0.2.2\r\n", out: "STORED\r\nEND\r\n"},
		{in: "delete starttls:192.0.2.1\r\n", out: "NOT_FOUND\r\n"},
		{in: "set k 0 0 2 noreply\r\nab\r\nversion\r\n", out: "VERSION ehlogate\r\n"},
		{in: "set k 0 0 99999\r\n", out: "SERVER_ERROR object too large for cache\r\n", end: true},
		{in: "set k 0 0 -1\r\n", out: "ERROR\r\n", end: true},
		{in: "set k 0 0 1\r\nabc", out: "CLIENT_ERROR bad data chunk\r\n", end: true},
		{in: "quit\r\nversion\r\n", end: true},
		{in: strings.Repeat("x", maxLine), out: "CLIENT_ERROR line too long\r\n", end: true},
		{in: "get starttls:192.0.2.1", out: ""},
	} {
		var faults []string
		if tc.words == nil {
			tc.words = plain
		}
		out, err := prototest.Answer(&Server{prototest.Backend(tc.words, &faults)}, []byte(tc.in), len(tc.in))
		if string(out) != tc.out || (err != nil) != tc.end || !slices.Equal(faults, tc.faults) {
			t.Errorf("%.60q: got %q, %v, faults %q; want %q, faults %q", tc.in, out, err, faults, tc.out, tc.faults)
		}
	}
}

var reply = regexp.MustCompile(`^(VALUE \S+ 0 (18|1?\d?\d)\r\n[^\r\n]+\r\n|END\r\n|ERROR\r\n|STORED\r\n|NOT_FOUND\r\n|VERSION \S+\r\n|(CLIENT|SERVER)_ERROR [ -~]+\r\n)*$`)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"get starttls:192.0.2.1 helo:ylmf-pc\r\n", "set k 0 3600 3\r\nabc\r\n", "set k 0 0 2 noreply\r\nab\r\nquit\r\n",
		"get  starttls:::1\n\r\nversion\r\n", "set k 0 0 99999999999999999999\r\n", "get helo:a\x00b\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var faults []string
		words := policyd.NewValues([]string{"chunking"}, true)
		out := prototest.Check(t, &Server{prototest.Backend(words, &faults)}, in)
		if strings.IndexFunc(string(in), func(r rune) bool { return r < ' ' && r != '\r' && r != '\n' || r > '~' }) < 0 && !strings.Contains(string(in), "\r\r") &&
			!reply.Match(out) && !strings.Contains(strings.ReplaceAll(string(in), "\r\n", ""), "\r") {
			t.Fatalf("%q: malformed reply %q", in, out)
		}
	})
}

func TestAllocatesNothing(t *testing.T) {
	var faults []string
	s := &Server{prototest.Backend(policyd.NewValues(nil, false), &faults)}
	out := make([]byte, 0, 256)
	for _, in := range []string{"get starttls:192.0.2.1\r\n", "get starttls:2001:db8::1\r\n"} {
		req := []byte(in)
		if n := testing.AllocsPerRun(100, func() { _, _, _ = s.Answer(t.Context(), req, out) }); n != 0 {
			t.Errorf("%q: %v allocations", in, n)
		}
	}
}
