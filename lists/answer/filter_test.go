package answer

import (
	"net/netip"
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	for _, tc := range []struct {
		text       string
		takes, not string
		times      int // of each answer that it takes; 0: 1
	}{
		{text: "", takes: "127.0.0.2 127.0.0.0 127.1.0.1 127.255.0.255 127.255.254.1", not: "127.0.0.1 127.255.255.0 127.255.255.254"},
		{text: "127.0.0.2", takes: "127.0.0.2", not: "127.0.0.1 127.0.0.3 127.0.1.2 127.1.0.2"},
		{text: "127.0.0.1", takes: "127.0.0.1", not: "127.0.0.2"},
		{text: "127.0.0.[2;4..7]", takes: "127.0.0.2 127.0.0.4 127.0.0.5 127.0.0.7", not: "127.0.0.3 127.0.0.8 127.0.0.1"},
		{text: "127.0.[0..255].[1..3]", takes: "127.0.0.1 127.0.255.3 127.0.100.2", not: "127.0.0.0 127.0.0.4 127.1.0.1"},
		{text: "[127].0.0.2", takes: "127.0.0.2"},
		{text: "127.0.0.[2]", takes: "127.0.0.2"},
		{text: "127.0.0.[7;2..3;3..5;9..9]", takes: "127.0.0.7", not: "127.0.0.6"},
		{text: "127.[0..255].[0..255].[0..255]", takes: "127.0.0.1 127.255.0.1", not: "127.255.255.1"},
		{text: "127.0.4.N", takes: "127.0.4.3", not: "127.0.3.3 127.1.4.3", times: 3},
		{text: "127.N.4.[1..9]", takes: "127.200.4.3", not: "127.200.4.10", times: 200},
		{text: "127.0.4.N", takes: "127.0.4.255", times: 255},
	} {
		f, err := Parse(tc.text)
		if err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		if f.String() != tc.text {
			t.Errorf("%q became %q", tc.text, f)
		}
		for _, a := range strings.Fields(tc.takes) {
			b := triple(a)
			if times, ok := f.Takes(b[0], b[1], b[2]); !ok || times != max(tc.times, 1) {
				t.Errorf("%q and %s: %d, %v", tc.text, a, times, ok)
			}
		}
		for _, a := range strings.Fields(tc.not) {
			b := triple(a)
			if _, ok := f.Takes(b[0], b[1], b[2]); ok {
				t.Errorf("%q takes %s", tc.text, a)
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for text, want := range map[string]string{
		"127":                   "found the end at 4, expected a dot and a number (there are four)",
		"127.0.0":               "found the end at 8, expected a dot and a number (there are four)",
		"127.0.0.":              "found the end at 9, expected a number from 0 to 255",
		"127.0.0.2 ":            `found " " at 10, expected the end after four numbers`,
		"127.0.0.2.3":           `found ".3" at 10, expected the end after four numbers`,
		" 127.0.0.2":            `found " 127.0.0.2" at 1, expected a number from 0 to 255`,
		"10.0.0.2":              `found "10.0.0.2" at 1, expected 127, as in all answers of DNS lists`,
		"[126..127].0.0.2":      `found "[126..127].0" at 1, expected 127, as in all answers of DNS lists`,
		"N.0.0.2":               `found "N.0.0.2" at 1, expected a number from 0 to 255`,
		"127.0.N.N":             `found "N" at 9, expected a number (there is an N already)`,
		"127.0.0.256":           `found "256" at 9, expected a number from 0 to 255`,
		"127.0.0.2561":          `found "2561" at 9, expected a number from 0 to 255`,
		"127.0.0.02":            `found "02" at 9, expected a number from 0 to 255`,
		"127.0.0.[4..2]":        `found "2]" at 13, expected a number of 4 or more`,
		"127.0.0.[]":            `found "]" at 10, expected a number from 0 to 255`,
		"127.0.0.[2,4]":         `found ",4]" at 11, expected ; or .. or ]`,
		"127.0.0.[2;4":          "found the end at 13, expected ; or .. or ]",
		"127.0.0.[N]":           `found "N]" at 10, expected a number from 0 to 255`,
		"127.255.255.254":       "error codes and list no client",
		"127.255.255.N":         "error codes and list no client",
		"127.255.255.[0..255]":  "error codes and list no client",
		"127.0.0.*":             `found "*" at 9, expected a number from 0 to 255`,
		"127.0.0.2/31":          "the end after four numbers",
		"127..0.2":              `found ".0.2" at 5, expected a number from 0 to 255`,
		strings.Repeat("1", 99): "a number from 0 to 255",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Whatever is read is written so that the same is read again, and takes what the
// text says, read in another way.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "127.0.0.2", "127.0.[0..255].[1..3]", "127.0.0.[2;4..7]", "127.0.4.N", "[127].N.[1;2].3",
		"127.255.255.1", "127.0.0.[4..2]", "127.0.0.256", "127.[0..255].[0..255].[0..255]"} {
		f.Add(s, byte(0), byte(0), byte(2))
	}
	f.Fuzz(func(t *testing.T, s string, a, b, c byte) {
		f, err := Parse(s)
		if err != nil {
			if f != (Filter{}) || !strings.HasPrefix(err.Error(), "invalid answer ") {
				t.Fatalf("%q: %v, %v", s, f, err)
			}
			return
		}
		again, err := Parse(f.String())
		if err != nil || again != f || again.String() != f.String() {
			t.Fatalf("%q became %q, which became %q, %v", s, f, again, err)
		}
		if s == "" {
			return
		}
		times, ok := f.Takes(a, b, c)
		want, wantOK := slowly(s, [3]byte{a, b, c})
		if ok != wantOK || ok && times != want {
			t.Fatalf("%q and 127.%d.%d.%d: %d %v, want %d %v", s, a, b, c, times, ok, want, wantOK)
		}
	})
}

// slowly is takes for a text that is known to be right.
func slowly(s string, answer [3]byte) (times int, ok bool) {
	var field strings.Builder
	var fields []string
	inside := false
	for _, c := range s {
		if c == '.' && !inside {
			fields = append(fields, field.String())
			field.Reset()
			continue
		}
		inside = c == '[' || inside && c != ']'
		field.WriteRune(c)
	}
	fields = append(fields, field.String())
	times = 1
	for i, n := range answer {
		has := false
		for _, span := range strings.Split(strings.Trim(fields[i+1], "[]"), ";") {
			if span == "N" {
				has, times = true, int(n)
				continue
			}
			from, to, dots := strings.Cut(span, "..")
			if !dots {
				to = from
			}
			has = has || atoi(from) <= int(n) && int(n) <= atoi(to)
		}
		if !has {
			return 0, false
		}
	}
	return times, answer[0] != 255 || answer[1] != 255
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// triple returns the numbers behind 127 of an address.
func triple(addr string) [3]byte {
	b := netip.MustParseAddr(addr).As4()
	return [3]byte(b[1:])
}
