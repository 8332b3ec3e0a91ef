package tcptable

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/policyd"
	"ehlogate/policyd/internal/prototest"
)

func TestDialogues(t *testing.T) {
	for _, tc := range []struct {
		in, out string
		faults  []string
	}{
		{in: "get 192.0.2.1\n", out: "200 chunking, starttls\n"},
		{in: "get 192.0.2.2\nget %31%392.0.2.1\r\n", out: "500 offer\n200 chunking, starttls\n"},
		{in: "get 192.0.2.2%20ylmf-pc\n", out: "200 chunking, starttls\n"},
		{in: "get 192.0.2.2 YLMF-PC\n", out: "200 chunking, starttls\n"},
		{in: "get 192.0.2.3\n", out: "200 chunking, dsn\n"},
		{in: "get 192.0.2.4\nget tls_profile:192.0.2.4%20x\nget tls_profile:192.0.2.1\n", out: "500 offer\n200 legacy\n500 offer\n"},
		{in: "get starttls:192.0.2.1\nget submission:192.0.2.1\nget submission:192.0.2.3%20x\n", out: "200 chunking, starttls\n500 offer\n200 chunking, auth\n"},
		{in: "get submission:2001:db8::1\nget tls_profile:\n", out: "500 offer\n500 not an address\n", faults: []string{"key"}},
		{in: "get 192.0.2.2%20\n", out: "500 offer\n"},
		{in: "get 192.0.2.1%2\n", out: "500 not an address\n", faults: []string{"key"}},
		{in: "get 192.0.2.1%zz\n", out: "500 not an address\n", faults: []string{"key"}},
		{in: "get unknown\n", out: "500 not an address\n", faults: []string{"key"}},
		{in: "get " + strings.Repeat("x", 4000) + "\n", out: "500 not an address\n", faults: []string{"key"}},
		{in: "put 192.0.2.1 x\n", out: "500 only get ADDR is served\n", faults: []string{"command"}},
		{in: "\n", out: "500 only get ADDR is served\n", faults: []string{"command"}},
		{in: "get 192.0.2.1", out: ""},
	} {
		var faults []string
		s := &Server{prototest.Backend(policyd.NewValues([]string{"chunking"}, true), &faults)}
		out, err := prototest.Answer(s, []byte(tc.in), len(tc.in))
		if string(out) != tc.out || err != nil || !slices.Equal(faults, tc.faults) {
			t.Errorf("%q: got %q, %v, faults %q; want %q, faults %q", tc.in, out, err, faults, tc.out, tc.faults)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := string(appendQuoted(nil, []byte("a, b%\n\xff"))); got != "a, b%25%0A%FF" {
		t.Errorf("got %q", got)
	}
}

var replies = regexp.MustCompile(`^((200 (chunking, (starttls|dsn|auth)|legacy)|500 [a-zA-Z ]+)\n)*$`)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"get 192.0.2.1\n", "get 192.0.2.2%20ylmf-pc\r\n", "get %\n", "put a b\n\n", "get submission:192.0.2.3\n", "get tls_profile:192.0.2.4%20x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var faults []string
		s := &Server{prototest.Backend(policyd.NewValues([]string{"chunking"}, false), &faults)}
		if out := prototest.Check(t, s, in); !replies.Match(out) {
			t.Fatalf("%q: malformed reply %q", in, out)
		}
	})
}

func TestAllocatesNothing(t *testing.T) {
	var faults []string
	s := &Server{prototest.Backend(policyd.NewValues(nil, false), &faults)}
	out, req := make([]byte, 0, 256), []byte("get 192.0.2.1\n")
	if n := testing.AllocsPerRun(100, func() { _, _, _ = s.Answer(t.Context(), req, out) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
