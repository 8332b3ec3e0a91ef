package socketmap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/policyd"
	"ehlogate/policyd/internal/prototest"
)

func netstring(s string) string { return fmt.Sprintf("%d:%s,", len(s), s) }

func TestDialogues(t *testing.T) {
	const no = "9:NOTFOUND ,"
	for _, tc := range []struct {
		in, out string
		faults  []string
		end     bool
	}{
		{in: netstring("starttls 192.0.2.1"), out: netstring("OK chunking, starttls")},
		{in: netstring("starttls 192.0.2.2") + netstring("starttls ipv6:::ffff:192.0.2.1"), out: no + netstring("OK chunking, starttls")},
		{in: netstring("srv_features 192.0.2.1"), out: netstring("OK S")},
		{in: netstring("srv_features ipv6:2001:db8::1 bad.example"), out: netstring("OK S")},
		{in: netstring("srv_features 192.0.2.2 good.example"), out: no},
		{in: netstring("starttls 192.0.2.3"), out: netstring("OK chunking, dsn")},
		{in: netstring("srv_features 192.0.2.3"), out: netstring("OK D")}, // Sendmail cannot hide CHUNKING
		{in: netstring("starttls 192.0.2.4") + netstring("srv_features 192.0.2.4"), out: no + no},
		{in: netstring("tls_profile 192.0.2.4 x.example") + netstring("tls_profile 192.0.2.1"), out: netstring("OK legacy") + no},
		{in: netstring("submission 192.0.2.1") + netstring("submission_features 192.0.2.1"), out: no + no}, // never starttls
		{in: netstring("submission 192.0.2.3") + netstring("submission_features 192.0.2.3"), out: netstring("OK chunking, auth") + netstring("OK A")},
		{in: netstring("starttls 192.0.2.1 bad.example"), out: no, faults: []string{"key"}},
		{in: netstring("starttls unknown"), out: no, faults: []string{"key"}},
		{in: netstring("starttls"), out: no, faults: []string{"key"}},
		{in: netstring("other 192.0.2.1"), out: no, faults: []string{"map"}},
		{in: "0:,", out: no, faults: []string{"map"}},
		{in: "18:starttls 192.0.2.1;", end: true},
		{in: "018:starttls 192.0.2.1,", end: true},
		{in: ":starttls 192.0.2.1,", end: true},
		{in: "x", end: true},
		{in: "-1:,", end: true},
		{in: "4294967295:", end: true},
		{in: "10001:", end: true},
		{in: "18:starttls 192", out: ""},
	} {
		var faults []string
		s := &Server{prototest.Backend(policyd.NewValues([]string{"chunking"}, true), &faults)}
		out, err := prototest.Answer(s, []byte(tc.in), len(tc.in))
		if string(out) != tc.out || (err != nil) != tc.end || !slices.Equal(faults, tc.faults) {
			t.Errorf("%q: got %q, %v, faults %q; want %q, faults %q", tc.in, out, err, faults, tc.out, tc.faults)
		}
	}
	var faults []string
	s := &Server{prototest.Backend(policyd.NewValues(nil, false), &faults)}
	longest := netstring("starttls " + strings.Repeat("x", maxData-len("starttls ")))
	if out, err := prototest.Answer(s, []byte(longest), 1000); string(out) != no || err != nil {
		t.Errorf("the longest request: %q, %v", out, err)
	}
}

var replies = regexp.MustCompile(`^(9:NOTFOUND ,|4:OK [SAD],|6:OK S D,|9:OK legacy,|(21:OK chunking, starttls|16:OK chunking, dsn|17:OK chunking, auth),)*$`)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{netstring("starttls 192.0.2.1"), netstring("srv_features ::1 bad.example") + "0:,", "018:", "99999999999:", "1:a;",
		netstring("submission_features 192.0.2.3 x"), netstring("tls_profile 192.0.2.4"), netstring("submission 192.0.2.3")} {
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
	out, req := make([]byte, 0, 256), []byte(netstring("starttls 192.0.2.1"))
	if n := testing.AllocsPerRun(100, func() { _, _, _ = s.Answer(t.Context(), req, out) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
